package httpcheck

import "fmt"

// maxFaults is how many different faults a report has.
const maxFaults = 5

// tally counts faults by their text, in the order of their first occurrence.
type tally struct {
	order  []string
	counts map[string]int
}

func (t *tally) add(text string) {
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	if t.counts[text]++; t.counts[text] == 1 {
		t.order = append(t.order, text)
	}
}

// texts returns the first faults, with how often each occurred.
func (t *tally) texts() []string {
	var texts []string
	for _, text := range t.order[:min(len(t.order), maxFaults)] {
		if count := t.counts[text]; count > 1 {
			text = fmt.Sprintf("%s (%d times)", text, count)
		}
		texts = append(texts, text)
	}
	if more := len(t.order) - maxFaults; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d further faults", more))
	}
	return texts
}
