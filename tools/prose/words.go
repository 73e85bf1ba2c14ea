package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// word is one that is not used here.
type word struct {
	text    string
	instead string
	pattern *regexp.Regexp
	except  *regexp.Regexp // phrases in which it is right; may be nil
}

// readWords reads lines of the form "word | what to write instead | phrase in which it is right, another phrase".
func readWords(path string) ([]word, error) {
	var words []word
	err := eachLine(path, func(text string) error {
		fields := strings.Split(text, "|")
		if len(fields) < 2 || len(fields) > 3 {
			return fmt.Errorf("%q is not of the form: word | what to write instead | phrase in which it is right", text)
		}
		w := word{text: strings.TrimSpace(fields[0]), instead: strings.TrimSpace(fields[1])}
		w.pattern = phrase(w.text)
		if len(fields) == 3 {
			w.except = phrase(strings.Split(fields[2], ",")...)
		}
		words = append(words, w)
		return nil
	})
	return words, err
}

// phrase matches each of some phrases, as whole words in either case.
func phrase(texts ...string) *regexp.Regexp {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, regexp.QuoteMeta(strings.TrimSpace(text)))
	}
	return regexp.MustCompile(`(?i)\b(?:` + strings.Join(quoted, "|") + `)\b`)
}

// in counts how often a word is in a text.
func (w word) in(text string) int {
	if w.except != nil {
		text = w.except.ReplaceAllString(text, "`")
	}
	return len(w.pattern.FindAllString(text, -1))
}

// eachLine calls do with each line of a file that is neither blank nor a comment.
func eachLine(path string, do func(text string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := do(text); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return lines.Err()
}
