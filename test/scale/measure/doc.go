// Package measure holds the arithmetic of the scale tests: which ticks were due, which were started and how late, and what
// a run cost. It reads text and numbers, and asks nobody.
package measure
