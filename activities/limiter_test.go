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

func none() int { return 0 }

// line are those who wait for a limiter, and who was let start, in this order.
type line struct {
	limiter *activities.Limiter
	mu      sync.Mutex
	started []string
	waiting sync.WaitGroup
}

// join has a pod of a namespace wait in the line.
func (l *line) join(ctx context.Context, namespace string) {
	l.waiting.Go(func() {
		if l.limiter.AwaitStart(ctx, namespace) == nil {
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
		l := line{limiter: activities.NewLimiter(10, 0, none)}
		began := time.Now()
		for range 120 {
			l.waiting.Go(func() {
				if err := l.limiter.AwaitStart(t.Context(), "shop"); err != nil {
					t.Error(err)
				}
			})
		}
		l.waiting.Wait()
		if took := time.Since(began); took < 10*time.Second || took > 10100*time.Millisecond {
			t.Errorf("120 starts took %s, want 10s: 20 at once, and then 10 a second", took)
		}
		for n, want := range []bool{false, true, false} {
			if got := l.limiter.TryStart(); got != want {
				t.Errorf("call %d of TryStart is %t, want %t", n, got, want)
			}
			if n == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
}

func TestLimiterWithoutLimits(t *testing.T) {
	for name, limiter := range map[string]*activities.Limiter{"nil": nil, "0": activities.NewLimiter(0, 0, nil)} {
		for range 1000 {
			if !limiter.TryStart() || limiter.AwaitStart(t.Context(), "shop") != nil {
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
		var running, most atomic.Int64
		limiter := activities.NewLimiter(0, 5, func() int { return int(running.Load()) })
		var pods sync.WaitGroup
		for range 30 {
			pods.Go(func() {
				if err := limiter.AwaitStart(t.Context(), "shop"); err != nil {
					t.Error(err)
				}
				time.Sleep(300 * time.Millisecond) // until it is seen
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(3 * time.Second)
				running.Add(-1)
			})
		}
		pods.Wait()
		if most.Load() != 5 {
			t.Errorf("%d pods ran at once, want 5", most.Load())
		}
	})
}

func TestLimiterCountsPodsThatAreNotSeenYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(0, 2, none)
		for n, want := range []bool{true, true, false} {
			if limiter.TryStart() != want {
				t.Errorf("start %d: want %t of two at once, though none is seen", n+1, want)
			}
		}
		time.Sleep(3 * time.Second) // by now they would be seen
		if !limiter.TryStart() {
			t.Error("no start, although the others are not there")
		}
	})
}

// A namespace with many checks does not hold up another.
func TestLimiterIsFairBetweenNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{limiter: activities.NewLimiter(1, 0, none)}
		for l.limiter.TryStart() {
		}
		for range 1000 {
			l.waiting.Go(func() { _ = l.limiter.AwaitStart(t.Context(), "many") })
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

// Who leaves the queue and who joins again changes no other's turn.
func TestLimiterTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{limiter: activities.NewLimiter(1, 0, none)}
		for l.limiter.TryStart() {
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
		full := true
		l := line{limiter: activities.NewLimiter(0, 1, func() int {
			if full {
				return 1
			}
			return 0
		})}
		l.join(t.Context(), "shop")
		full = false
		if l.limiter.TryStart() {
			t.Error("a pod starts before one that waits")
		}
		l.waiting.Wait()
	})
}

func TestEndOfTheContextLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(0, 1, func() int { return 1 })
		cause := errors.New("the worker is stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		var waiting sync.WaitGroup
		for n := range 10 {
			waiting.Go(func() {
				if err := limiter.AwaitStart(ctx, fmt.Sprint("ns-", n%3)); !errors.Is(err, cause) {
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

// Whoever leaves at whatever moment, no start is lost and nobody waits for ever.
func TestNoStartIsLostByThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := activities.NewLimiter(10, 0, none)
		for limiter.TryStart() {
		}
		random := rand.New(rand.NewPCG(1, 2))
		var started atomic.Int64
		var all sync.WaitGroup
		for n := range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(60))*time.Second)
			all.Go(func() {
				defer cancel()
				if limiter.AwaitStart(ctx, fmt.Sprint("ns-", n%7)) == nil {
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
		l := line{limiter: activities.NewLimiter(10, 3, none)}
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
