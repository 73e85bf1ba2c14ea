package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Role is what a pod does in its run.
type Role string

// The roles, and how many of a hundred runs have them.
const (
	// Pass reports success and ends.
	Pass Role = "pass"
	// Fail reports an error and ends.
	Fail Role = "fail"
	// Crash ends without a report.
	Crash Role = "crash"
	// Hang never reports and never ends.
	Hang Role = "hang"
	// Twice reports success, and then an error, which makes the run fail.
	Twice Role = "twice"
	// Linger reports success and ends some seconds later.
	Linger Role = "linger"
	// Overstay reports success and does not end before the deadline.
	Overstay Role = "overstay"
)

var shares = []struct {
	role  Role
	share int
}{{Pass, 60}, {Fail, 14}, {Crash, 8}, {Hang, 4}, {Twice, 6}, {Linger, 5}, {Overstay, 3}}

// Act is what one pod does: work for a time, do what its role says, and linger.
type Act struct {
	Role         Role
	Work, Linger time.Duration
}

// String is the act as journals name it.
func (a Act) String() string { return fmt.Sprintf("%s after %s", a.Role, a.Work) }

// Choose returns the act of a run. The same seed and run always have the same one.
func Choose(seed uint64, run string) Act {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(run)) // it never fails
	random := rand.New(rand.NewPCG(seed, sum.Sum64()))
	act := Act{Work: time.Duration(random.IntN(2500)) * time.Millisecond}
	rest := random.IntN(100)
	for _, s := range shares {
		if act.Role = s.role; rest < s.share {
			break
		}
		rest -= s.share
	}
	if act.Role == Linger {
		act.Linger = time.Duration(1000+random.IntN(3000)) * time.Millisecond
	}
	return act
}
