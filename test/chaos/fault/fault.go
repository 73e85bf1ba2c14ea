// Package fault says what the crash tests do to the stack, and when: a list that the seed decides. It does nothing itself.
package fault

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is what is done to a target.
type Kind string

// The kinds of faults.
const (
	// Kill is kill -9; the target is started again after the fault's time.
	Kill Kind = "kill"
	// Stop is SIGSTOP, and SIGCONT after the fault's time.
	Stop Kind = "stop"
	// Refuse closes the connections of a link and takes no new ones.
	Refuse Kind = "refuse"
	// Freeze keeps the connections of a link, and forwards nothing: to both sides it is as if packets were dropped.
	Freeze Kind = "freeze"
	// Slow delays what goes over a link, so that a call takes two seconds more.
	Slow Kind = "slow"
	// Fill leaves no space on the disk of the ledger.
	Fill Kind = "fill"
	// Stall is no fault of a plan: the machine itself did not run this program in time.
	Stall Kind = "stall"
)

// Target is a process, a component of Kubernetes, a link or the disk.
type Target string

// The targets.
const (
	Worker    Target = "worker"
	Worker2   Target = "worker-2"
	Starter   Target = "starter"
	ReportAPI Target = "reportapi"
	Temporal  Target = "temporal"
	Postgres  Target = "postgres"
	APIServer Target = "kube-apiserver"
	Kubelet   Target = "kubelet"

	WorkerTemporal    Target = "worker→temporal"
	Worker2Temporal   Target = "worker-2→temporal"
	StarterTemporal   Target = "starter→temporal"
	ReportAPITemporal Target = "reportapi→temporal"
	WorkerKube        Target = "worker→kube"
	Worker2Kube       Target = "worker-2→kube"
	StarterKube       Target = "starter→kube"
	ReportAPIKube     Target = "reportapi→kube"
	WorkerPostgres    Target = "worker→postgres"
	Worker2Postgres   Target = "worker-2→postgres"
	PodsReportAPI     Target = "pods→reportapi"

	// AllTemporal and AllPostgres are all links that end there.
	AllTemporal Target = "all→temporal"
	AllPostgres Target = "all→postgres"

	Disk    Target = "disk"
	Machine Target = "machine"
)

// Components are the targets that run inside the cluster.
var Components = []Target{APIServer, Kubelet}

// Processes returns the targets that are processes of their own, in the order in which they start.
func Processes(postgres bool) []Target {
	if postgres {
		return []Target{Postgres, Temporal, Worker, Worker2, Starter, ReportAPI}
	}
	return []Target{Temporal, Worker, Starter, ReportAPI}
}

// Links returns the targets that are links.
func Links(postgres bool) []Target {
	links := []Target{
		WorkerTemporal, StarterTemporal, ReportAPITemporal, WorkerKube, StarterKube, ReportAPIKube, PodsReportAPI,
	}
	if postgres {
		links = append(links, Worker2Temporal, Worker2Kube, WorkerPostgres, Worker2Postgres)
	}
	return links
}

// Parts returns the targets that a target stands for: the links of one that means many, else itself.
func (t Target) Parts(postgres bool) []Target {
	to, many := strings.CutPrefix(string(t), "all")
	if !many {
		return []Target{t}
	}
	return slices.DeleteFunc(Links(postgres), func(link Target) bool { return !strings.HasSuffix(string(link), to) })
}

// Fault is one thing that is done. At counts from the start of the chaos.
type Fault struct {
	At     time.Duration
	Kind   Kind
	Target Target
	For    time.Duration
}

// String is the fault as people read it.
func (f Fault) String() string {
	return fmt.Sprintf("%7s  %-6s %-19s for %s", f.At.Round(100*time.Millisecond), f.Kind, f.Target, f.For.Round(100*time.Millisecond))
}

// Options say how many faults there are.
type Options struct {
	Seed uint64
	// For is how long the chaos lasts, and Every the time between two faults, on average.
	For, Every time.Duration
	// Hang is how long the ledger's database hangs; zero means that it does not.
	Hang     time.Duration
	Postgres bool
}

// Bounds of how long a fault lasts.
const (
	shortest     = 300 * time.Millisecond
	longest      = 12 * time.Second
	shortestSlow = 30 * time.Second
	longestSlow  = 60 * time.Second
)

// Plan returns the faults of a seed, in order. Two may go on at a time, but not on the same target. Each sort of target is hit as often as
// the others, and each target of a sort before any a second time. The long faults have their times first.
func Plan(o Options) []Fault {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	plan := append(hangs(o), slow(o)...)
	bags := map[Kind]*bag{}
	for kind, targets := range targetsOf(o.Postgres) {
		bags[kind] = &bag{all: targets}
	}
	kinds := &bag{all: kindTargets}
	for at := o.Every / 2; at < o.For; at += o.Every/2 + time.Duration(random.Int64N(int64(o.Every))) {
		kind := Kind(kinds.draw(random))
		f := Fault{At: at, Kind: kind, Target: bags[kind].draw(random), For: duration(random, kind)}
		if f.At+f.For <= o.For && !slices.ContainsFunc(plan, func(other Fault) bool { return f.disturbs(other, o.Postgres) }) {
			plan = append(plan, f)
		}
	}
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return plan
}

// disturbs is true when two faults are on the same target at a time, or within a second. A link may be slow and have another fault.
func (f Fault) disturbs(other Fault, postgres bool) bool {
	if f.At > other.At+other.For+time.Second || other.At > f.At+f.For+time.Second || (f.Kind == Slow) != (other.Kind == Slow) {
		return false
	}
	parts := other.Target.Parts(postgres)
	return slices.ContainsFunc(f.Target.Parts(postgres), func(t Target) bool { return slices.Contains(parts, t) })
}

// hangs lets the database of the ledger hang in two ways, one after the other. The first stops the processes of the
// database, the second drops what is sent to it. Where there is time for only one, the seed decides which.
func hangs(o Options) []Fault {
	if !o.Postgres || o.Hang == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(o.Seed, 2))
	plan := []Fault{{Kind: Stop, Target: Postgres, For: o.Hang}, {Kind: Freeze, Target: AllPostgres, For: o.Hang}}
	random.Shuffle(2, func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	if 2*o.Hang+hangPause > o.For {
		plan = plan[:1]
	}
	spare := o.For - time.Duration(len(plan))*(o.Hang+hangPause) + hangPause
	if spare < 0 {
		return nil
	}
	at := time.Duration(random.Int64N(int64(spare) + 1))
	for i := range plan {
		plan[i].At = at
		at += o.Hang + hangPause
	}
	return plan
}

// hangPause is the time between the two ways to hang: what waits for the ledger is entered in it.
const hangPause = 20 * time.Second

// slow makes Temporal slow once in each five minutes.
func slow(o Options) (plan []Fault) {
	random := rand.New(rand.NewPCG(o.Seed, 3))
	for from := time.Duration(0); from < o.For; from += slowEvery {
		f := Fault{Kind: Slow, Target: AllTemporal, For: shortestSlow + time.Duration(random.Int64N(int64(longestSlow-shortestSlow)))}
		spare := min(slowEvery, o.For-from) - f.For
		if spare < 0 {
			break
		}
		f.At = from + time.Duration(random.Int64N(int64(spare)+1))
		plan = append(plan, f)
	}
	return plan
}

const slowEvery = 5 * time.Minute

// kindTargets gives kills the greatest share.
var kindTargets = []Target{
	Target(Kill), Target(Kill), Target(Kill), Target(Kill), Target(Stop), Target(Stop), Target(Stop), Target(Refuse), Target(Freeze), Target(Fill),
}

func targetsOf(postgres bool) map[Kind][]Target {
	running := slices.Concat(Processes(postgres), Components)
	links := Links(postgres)
	return map[Kind][]Target{Kill: running, Stop: running, Refuse: links, Freeze: links, Fill: {Disk}}
}

func duration(random *rand.Rand, kind Kind) time.Duration {
	upTo := longest
	if kind == Kill {
		upTo = 5 * time.Second
	}
	return shortest + time.Duration(random.Int64N(int64(upTo-shortest)))
}

// bag gives all that is in it, in random order, before anything comes a second time.
type bag struct{ all, left []Target }

func (b *bag) draw(random *rand.Rand) Target {
	if len(b.left) == 0 {
		b.left = slices.Clone(b.all)
		random.Shuffle(len(b.left), func(i, j int) { b.left[i], b.left[j] = b.left[j], b.left[i] })
	}
	drawn := b.left[0]
	b.left = b.left[1:]
	return drawn
}

// Window is a fault that was done, and when.
type Window struct {
	Fault
	From, To time.Time
}
