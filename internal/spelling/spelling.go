// Package spelling finds the word that was meant by one that is not known. It shows nothing to anybody.
package spelling

import "strings"

// Nearest returns the one of the names that was most likely meant, or nothing if none is within that many slips. The case
// of letters does not count, and of names that are equally near the first is taken.
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

// distance counts the bytes to insert, remove, replace or swap with their neighbour to make one text of the other.
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
