//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/test/scale/measure"
	"github.com/khronicle/khronicle/test/wait"
)

// Of the player's requests, which are tried again as the check clients do.
const (
	attempts     = 6
	attemptPause = 2 * time.Second
)

// player plays the containers of the checks: it works a little, reports over HTTP, and ends the pod. Its one watch sees a
// pod twice: when it runs and when it no longer does.
type player struct {
	core kubernetes.Interface
	work time.Duration
	http *http.Client

	mu     sync.Mutex
	counts played
	posts  []time.Duration
}

// played is what the player did.
type played struct {
	Pods     int `json:"pods"`
	Accepted int `json:"reportsAccepted"`
	Refused  int `json:"reportsRefused"`
	Ended    int `json:"podsEnded"`
	// Answer is the time from the request of an accepted report to its answer.
	Answer measure.Quantiles `json:"reportAnswerSeconds"`
}

func newPlayer(core kubernetes.Interface, work time.Duration) *player {
	// Each check is a process of its own: no connection serves two reports.
	transport := &http.Transport{DisableKeepAlives: true}
	return &player{core: core, work: work, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// run plays each pod that is seen to run, until ctx ends.
func (p *player) run(ctx context.Context) {
	running := cache.NewListWatchFromClient(p.core.CoreV1().RESTClient(), "pods", metav1.NamespaceAll,
		fields.OneTermEqualSelector("status.phase", string(corev1.PodRunning)))
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: running, ObjectType: &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
			if pod, ok := object.(*corev1.Pod); ok {
				go p.play(ctx, pod)
			}
		}},
	})
	informer.RunWithContext(ctx)
}

func (p *player) play(ctx context.Context, pod *corev1.Pod) {
	url, uuid := variable(pod, protocol.EnvReportingURL), variable(pod, protocol.EnvRunUUID)
	if url == "" || uuid == "" {
		return // no checker pod
	}
	p.count(func(c *played) { c.Pods++ })
	if !wait.Sleep(ctx, p.work) {
		return
	}
	if p.retry(ctx, func() (bool, error) { return p.report(ctx, url, uuid) }) == nil {
		p.count(func(c *played) { c.Accepted++ })
	} else {
		p.count(func(c *played) { c.Refused++ })
	}
	if p.retry(ctx, func() (bool, error) { return true, p.end(ctx, pod) }) == nil {
		p.count(func(c *played) { c.Ended++ })
	}
}

func variable(pod *corev1.Pod, name string) string {
	for _, v := range pod.Spec.Containers[0].Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

func (p *player) count(add func(*played)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.counts)
}

// retry does something until it succeeds, cannot succeed, or was tried often enough.
func (p *player) retry(ctx context.Context, do func() (again bool, err error)) error {
	for attempt := 1; ; attempt++ {
		again, err := do()
		if err == nil || !again || attempt == attempts || !wait.Sleep(ctx, attemptPause) {
			return err
		}
	}
}

// report posts the report of a run. Only a busy server is worth another attempt.
func (p *player) report(ctx context.Context, url, uuid string) (again bool, err error) {
	body, err := json.Marshal(status.NewReport(nil))
	if err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(protocol.HeaderRunUUID, uuid)
	began := time.Now()
	response, err := p.http.Do(request)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode >= http.StatusInternalServerError, fmt.Errorf("report: %s", response.Status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.posts = append(p.posts, time.Since(began))
	return false, nil
}

// end makes the pod one whose container has ended with exit code 0.
func (p *player) end(ctx context.Context, pod *corev1.Pod) error {
	container := pod.Spec.Containers[0]
	now := metav1.Now()
	ended := corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: *pod.Status.StartTime, FinishedAt: now}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"phase": corev1.PodSucceeded,
		"containerStatuses": []corev1.ContainerStatus{{
			Name: container.Name, Image: container.Image, State: corev1.ContainerState{Terminated: &ended},
		}},
	}})
	if err != nil {
		return err
	}
	_, err = p.core.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// mark returns how many reports were accepted up to now.
func (p *player) mark() (played, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts, len(p.posts)
}

// since returns what was done since a mark.
func (p *player) since(before played, posts int) played {
	p.mu.Lock()
	defer p.mu.Unlock()
	return played{
		Pods: p.counts.Pods - before.Pods, Accepted: p.counts.Accepted - before.Accepted,
		Refused: p.counts.Refused - before.Refused, Ended: p.counts.Ended - before.Ended,
		Answer: measure.QuantilesOf(p.posts[posts:]),
	}
}
