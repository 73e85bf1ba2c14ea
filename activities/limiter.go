package activities

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// Limiter decides when a checker pod may start. It limits the starts in a second, and the pods that have not ended. Waiting
// pods queue by namespace, and the namespaces take turns, so that one with many checks does not block another. Each worker
// has its own Limiter; the number of pods is that of the cluster. A nil Limiter lets every pod start at once.
type Limiter struct {
	starts *rate.Limiter
	most   int
	pods   SeenPods

	mu sync.Mutex
	// queues are the waiting pods by namespace. turns are these namespaces, the next one first. The first pod in the queue
	// of the first namespace may ask for a start: its channel is closed.
	queues map[string][]chan struct{}
	turns  []string
	// recent are the pods that this worker let start and does not see yet, with the time of their start.
	recent map[types.NamespacedName]time.Time
}

// SeenPods are the checker pods that a worker sees.
type SeenPods interface {
	// UnfinishedPods is how many pods have not ended.
	UnfinishedPods() int
	// HasPod is true for a pod that exists, ended or not.
	HasPod(namespace, name string) bool
}

const (
	// seenWithin is how soon a created pod is seen. Its creation may be retried for some seconds.
	seenWithin = 15 * time.Second
	// lookAgain is how often a waiting pod looks for room in a full cluster.
	lookAgain = 100 * time.Millisecond
)

// NewLimiter returns a limiter of starts a second, twice as many at once, and of pods that have not ended. 0 means no limit.
func NewLimiter(perSecond float64, most int, pods SeenPods) *Limiter {
	starts := rate.NewLimiter(rate.Inf, 0)
	if perSecond > 0 {
		starts = rate.NewLimiter(rate.Limit(perSecond), max(int(2*perSecond), 1))
	}
	return &Limiter{starts: starts, most: most, pods: pods, queues: map[string][]chan struct{}{}, recent: map[types.NamespacedName]time.Time{}}
}

// TryStart is true when a pod may start now, also when it is called again for the same pod. It never overtakes a pod that
// queues.
func (l *Limiter) TryStart(pod Pod) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, again := l.recent[pod.key()]
	return again || l.pods.HasPod(pod.Namespace, pod.Name) || len(l.turns) == 0 && l.admit(pod, time.Now()) == 0
}

// AwaitStart queues until a pod may start, or until ctx ends.
func (l *Limiter) AwaitStart(ctx context.Context, pod Pod) error {
	if l == nil {
		return nil
	}
	turn := l.join(pod.Namespace)
	defer l.leave(pod.Namespace, turn)
	select {
	case <-turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		l.mu.Lock()
		pause := l.admit(pod, time.Now())
		l.mu.Unlock()
		if pause == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Queued is how many pods wait.
func (l *Limiter) Queued() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, queue := range l.queues {
		n += len(queue)
	}
	return n
}

// admit counts a start and returns 0. If there is no room, it returns how long to wait before asking again.
func (l *Limiter) admit(pod Pod, now time.Time) (pause time.Duration) {
	l.forget(now)
	if l.most > 0 && l.pods.UnfinishedPods()+len(l.recent) >= l.most {
		return lookAgain
	}
	start := l.starts.ReserveN(now, 1)
	if pause := start.DelayFrom(now); pause > 0 {
		start.CancelAt(now)
		return max(pause, time.Millisecond)
	}
	l.recent[pod.key()] = now
	return 0
}

// forget drops the pods that are seen by now, or were never created.
func (l *Limiter) forget(now time.Time) {
	for pod, at := range l.recent {
		if now.Sub(at) > seenWithin || l.pods.HasPod(pod.Namespace, pod.Name) {
			delete(l.recent, pod)
		}
	}
}

func (l *Limiter) join(namespace string) (turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn = make(chan struct{})
	if len(l.turns) == 0 {
		close(turn)
	}
	if len(l.queues[namespace]) == 0 {
		l.turns = append(l.turns, namespace)
	}
	l.queues[namespace] = append(l.queues[namespace], turn)
	return turn
}

// leave removes a turn from its queue. When the first one leaves, the next namespace has its turn.
func (l *Limiter) leave(namespace string, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[namespace]
	i := slices.Index(queue, turn)
	first := i == 0 && l.turns[0] == namespace
	l.queues[namespace] = slices.Delete(queue, i, i+1)
	if first {
		l.turns = append(l.turns[1:], namespace)
	}
	if len(l.queues[namespace]) == 0 {
		delete(l.queues, namespace)
		l.turns = slices.DeleteFunc(l.turns, func(other string) bool { return other == namespace })
	}
	if first && len(l.turns) > 0 {
		close(l.queues[l.turns[0]][0])
	}
}
