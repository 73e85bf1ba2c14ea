package main

import (
	"fmt"
	"testing"
	"time"
)

func TestChooseGivesEachRoleItsShare(t *testing.T) {
	total := 0
	for _, s := range shares {
		total += s.share
	}
	if total != 100 {
		t.Errorf("the shares are %d in all, want 100", total)
	}
	const runs = 20000
	counts := map[Role]int{}
	for i := range runs {
		act := Choose(1, fmt.Sprint(i))
		if again := Choose(1, fmt.Sprint(i)); again != act {
			t.Fatalf("the same run has the acts %v and %v", act, again)
		}
		if act.Work < 0 || act.Work > 2500*time.Millisecond || (act.Linger > 0) != (act.Role == Linger) {
			t.Fatalf("act %+v", act)
		}
		counts[act.Role]++
	}
	for _, s := range shares {
		if got, want := counts[s.role], runs*s.share/100; got < want*8/10 || got > want*12/10 {
			t.Errorf("%d runs %s, want about %d", got, s.role, want)
		}
	}
	if Choose(1, "a") == Choose(2, "a") && Choose(1, "b") == Choose(2, "b") && Choose(1, "c") == Choose(2, "c") {
		t.Error("the seed makes no difference")
	}
}
