package check_test

import (
	"testing"

	"github.com/khronicle/khronicle/check"
)

// BenchmarkNextStatus is what a starter computes for each outcome of a check, and once a minute for each check.
func BenchmarkNextStatus(b *testing.B) {
	for name, change := range map[string]func(*check.StatusFacts){
		"Healthy": runOf(3, passed()),
		"Failing": runOf(3, failing(check.Failed, "out of stock")),
		"Calendar": func(f *check.StatusFacts) {
			cronIn("Europe/Berlin", "30 14 * * 1-5")(&f.Check.Spec)
			runOf(3, passed())(f)
		},
	} {
		b.Run(name, func(b *testing.B) {
			f := after(facts(b, change))
			b.ReportAllocs()
			for b.Loop() {
				if _, changed := check.NextStatus(f); changed {
					b.Fatal("the status changes")
				}
			}
		})
	}
}
