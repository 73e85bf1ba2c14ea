package activities_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
)

// pods is the number of pods that run. None of them is a pod that a test asks for.
type pods int

func (n pods) UnfinishedPods() int        { return int(n) }
func (n pods) HasPod(string, string) bool { return false }

// seenPods are the pods that a worker sees.
type seenPods struct {
	mu   sync.Mutex
	seen map[string]bool // false for one that has ended
}

func (c *seenPods) UnfinishedPods() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, unfinished := range c.seen {
		if unfinished {
			n++
		}
	}
	return n
}

func (c *seenPods) HasPod(_, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, has := c.seen[name]
	return has
}

func (c *seenPods) set(name string, unfinished bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name] = unfinished
}

// another is another pod of a namespace at each call.
func another(namespace string) activities.Pod {
	return activities.Pod{Namespace: namespace, Name: fmt.Sprint("pod-", lastPod.Add(1))}
}

var lastPod atomic.Int64

// line has the pods that wait for a limiter, and those that were let start, in this order.
type line struct {
	limiter *activities.Limiter
	mu      sync.Mutex
	started []string
	waiting sync.WaitGroup
}

// join makes a pod of a namespace wait in the line.
func (l *line) join(ctx context.Context, namespace string) {
	l.waiting.Go(func() {
		if l.limiter.AwaitStart(ctx, another(namespace)) == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.started = append(l.started, namespace)
		}
	})
	synctest.Wait() // so that the order is that of the calls
}

func (l *line) hasStarted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.started) > 0
}

func TestLimiterLetsSoManyStartASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{limiter: activities.NewLimiter(10, 0, pods(0))}
		began := time.Now()
		for range 120 {
			l.waiting.Go(func() {
				if err := l.limiter.AwaitStart(t.Context(), another("shop")); err != nil {
					t.Error(err)
				}
			})
		}
		l.waiting.Wait()
		if took := time.Since(began); took < 10*time.Second || took > 10100*time.Millisecond {
			t.Errorf("120 starts took %s, want 10s: 20 at once, and then 10 a second", took)
		}
		for n, want := range []bool{false, true, false} {
			if got := l.limiter.TryStart(another("shop")); got != want {
				t.Errorf("call %d of TryStart is %t, want %t", n, got, want)
			}
			if n == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
}

func TestLimiterWithoutLimitsNeverWaits(t *testing.T) {
	for name, limiter := range map[string]*activities.Limiter{"nil": nil, "0": activities.NewLimiter(0, 0, pods(0))} {
		for range 1000 {
			if !limiter.TryStart(another("shop")) || limiter.AwaitStart(t.Context(), another("shop")) != nil {
				t.Fatalf("%s: a pod may not start", name)
			}
		}
		if limiter.Queued() != 0 {
			t.Errorf("%s: %d wait", name, limiter.Queued())
		}
	}
}

func TestLimiterLetsSoManyRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most atomic.Int64
		cluster := &seenPods{seen: map[string]bool{}}
		limiter := activities.NewLimiter(0, 5, cluster)
		var pods sync.WaitGroup
		for range 30 {
			pods.Go(func() {
				pod := another("shop")
				if err := limiter.AwaitStart(t.Context(), pod); err != nil {
					t.Error(err)
				}
				time.Sleep(300 * time.Millisecond) // until it is seen
				cluster.set(pod.Name, true)
				most.Store(max(most.Load(), int64(cluster.UnfinishedPods())))
				time.Sleep(700 * time.Millisecond)
				cluster.set(pod.Name, false)
			})
		}
		began := time.Now()
		pods.Wait()
		if took := time.Since(began); most.Load() != 5 || took > 7*time.Second {
			t.Errorf("%d pods ran at once, and 30 took %s, want 5 at once, each of which counts once: a good second for five", most.Load(), took)
		}
	})
}

func TestLimiterCountsPodsThatAreNotSeenYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(0, 2, pods(0))
		for n, want := range []bool{true, true, false} {
			if limiter.TryStart(another("shop")) != want {
				t.Errorf("start %d: want %t of two at once, though none is seen", n+1, want)
			}
		}
		time.Sleep(16 * time.Second) // they would be seen by this time
		if !limiter.TryStart(another("shop")) {
			t.Error("no start, although the others are not there")
		}
	})
}

// The creation of a pod may be retried several times.
func TestLimiterCountsAPodOnceThatIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter, pod := activities.NewLimiter(1, 1, pods(0)), another("shop")
		for range 3 {
			if !limiter.TryStart(pod) {
				t.Error("a pod that may start may not start again")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if limiter.TryStart(another("shop")) {
			t.Error("a second pod may start, though one may run at once")
		}
	})
}

// The answer to the creation of a pod may have been lost.
func TestLimiterDoesNotQueueAPodThatIsThere(t *testing.T) {
	pod := another("shop")
	limiter := activities.NewLimiter(0, 1, &seenPods{seen: map[string]bool{pod.Name: true}})
	if !limiter.TryStart(pod) || limiter.TryStart(another("shop")) {
		t.Error("want the pod that is there to go on, and no other to start")
	}
}

// A namespace with many checks does not delay another one.
func TestLimiterIsFairBetweenNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{limiter: activities.NewLimiter(1, 0, pods(0))}
		for l.limiter.TryStart(another("shop")) {
		}
		for range 1000 {
			l.waiting.Go(func() { _ = l.limiter.AwaitStart(t.Context(), another("many")) })
		}
		synctest.Wait()
		l.join(t.Context(), "one")
		began := time.Now()
		for l.limiter.Queued() > 0 && !l.hasStarted() {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 2100*time.Millisecond {
			t.Errorf("the one came after %s, want it second of 1000, after 2s", took)
		}
		l.waiting.Wait()
	})
}

// A pod that leaves the queue and joins again changes no other pod's turn.
func TestLimiterTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{limiter: activities.NewLimiter(1, 0, pods(0))}
		for l.limiter.TryStart(another("shop")) {
		}
		leaving, leave := context.WithCancel(t.Context())
		for _, namespace := range []string{"a", "a", "a", "b", "c"} {
			l.join(t.Context(), namespace)
		}
		l.join(leaving, "b")
		l.join(leaving, "d")
		leave()
		synctest.Wait()
		l.join(t.Context(), "b")
		l.join(t.Context(), "d")
		l.waiting.Wait()
		if diff := cmp.Diff(strings.Fields("a b c d a b a"), l.started); diff != "" {
			t.Errorf("order of the starts (-want +got):\n%s", diff)
		}
	})
}

func TestLimiterIsNotOvertakenByTryStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &seenPods{seen: map[string]bool{"running": true}}
		l := line{limiter: activities.NewLimiter(0, 1, cluster)}
		l.join(t.Context(), "shop")
		cluster.set("running", false)
		if l.limiter.TryStart(another("shop")) {
			t.Error("a pod starts before one that waits")
		}
		l.waiting.Wait()
	})
}

func TestEndOfTheContextLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(0, 1, pods(1))
		cause := errors.New("the worker is stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		var waiting sync.WaitGroup
		for n := range 10 {
			waiting.Go(func() {
				if err := limiter.AwaitStart(ctx, another(fmt.Sprint("ns-", n%3))); !errors.Is(err, cause) {
					t.Errorf("error %v, want the cause", err)
				}
			})
		}
		synctest.Wait()
		if limiter.Queued() != 10 {
			t.Errorf("%d wait, want 10", limiter.Queued())
		}
		cancel(cause)
		waiting.Wait()
		if limiter.Queued() != 0 {
			t.Errorf("%d wait, want none", limiter.Queued())
		}
	})
}

// Pods may leave at any moment. No start is lost, and no pod waits for ever.
func TestNoStartIsLostByThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(10, 0, pods(0))
		for limiter.TryStart(another("shop")) {
		}
		random := rand.New(rand.NewPCG(1, 2))
		var started atomic.Int64
		var all sync.WaitGroup
		for n := range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(60))*time.Second)
			all.Go(func() {
				defer cancel()
				if limiter.AwaitStart(ctx, another(fmt.Sprint("ns-", n%7))) == nil {
					started.Add(1)
				}
			})
		}
		began := time.Now()
		all.Wait()
		if want := int64(10 * time.Since(began).Seconds()); started.Load() < want-2 || started.Load() > want+2 {
			t.Errorf("%d starts, want %d in %s", started.Load(), want, time.Since(began))
		}
	})
}

// The bubble of synctest ends only when all of its goroutines have ended.
func TestLimiterHasNoGoroutineWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		l := line{limiter: activities.NewLimiter(10, 3, pods(0))}
		for range 10 {
			l.join(t.Context(), "shop")
		}
		l.waiting.Wait()
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
}
