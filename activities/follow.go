package activities

import (
	"context"
	"sync"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// lastWords is how long to wait for the rest of the logs after the end of a pod.
const lastWords = 2 * time.Second

// follower reads the logs of a pod that somebody deletes. A moment after its end, the API server no longer has the pod or
// its logs.
type follower struct {
	sources PodSources
	pod     Pod
	// store is true if there is a ledger for the logs.
	store  bool
	ctx    context.Context //nolint:containedctx // of one call of an activity
	cancel context.CancelFunc

	started bool
	reading sync.WaitGroup
	mu      sync.Mutex
	pieces  []check.Piece
}

func (a *Activities) newFollower(ctx context.Context, pod Pod) *follower {
	f := &follower{sources: a.Cluster, pod: pod, store: a.Ledger != nil}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

// start begins to read, once, if there is a ledger for the logs.
func (f *follower) start() {
	if f.started || !f.store {
		return
	}
	f.started = true
	pod, ok := f.sources.Pod(f.pod.Namespace, f.pod.Name)
	if !ok {
		return
	}
	for i, container := range check.ContainerLogs(pod) {
		if container.Started && i < maxLogs {
			f.reading.Go(func() { f.read(container.Name, pod.Labels[protocol.LabelRunID]) })
		}
	}
}

func (f *follower) read(container, runUUID string) {
	tail, err := f.sources.FollowPodLog(f.ctx, f.pod.Namespace, f.pod.Name, container)
	if err != nil {
		return // the log is read again when evidence is collected, and a note says what is missing
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pieces = append(f.pieces, check.NewPiece(check.EvidenceLog, container, check.HideRun(tail.Content, runUUID), tail.Size))
	if tail.Cut {
		why := "its last lines may be missing: it was not read to its end before the pod went"
		f.pieces = append(f.pieces, check.NewPiece(check.EvidenceMissing, container, []byte(why), 0))
	}
}

// end waits for the rest, for a bounded time, and returns what was read.
func (f *follower) end() []check.Piece {
	if !f.started {
		return nil
	}
	rest := time.AfterFunc(lastWords, f.cancel)
	defer rest.Stop()
	f.reading.Wait()
	return check.WithinBytes(f.pieces, maxWaiting)
}

func (f *follower) stop() {
	f.cancel()
	f.reading.Wait()
}
