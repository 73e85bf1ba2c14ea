package yamlfile

import "strings"

// Nearest returns the name that a misspelt one was most likely meant to be. It returns "" when no name is within that
// number of slips. The case of letters does not count. Among equally near names, the first one wins.
func Nearest(written string, names []string, slips int) string {
	best, least := "", slips+1
	for _, name := range names {
		if strings.EqualFold(written, name) {
			return name
		}
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of slips between two texts. A slip inserts, removes or replaces a byte, or swaps two neighbours.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
