package cli_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/internal/protocol"
)

// pod NAME CHECK RUN PHASE CONTAINER[=FILE]…: the check has a pod, whose containers have these logs. One without a log waits.
func putPod(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: args[0], UID: types.UID(args[0]), CreationTimestamp: metav1.Now(),
			Labels: map[string]string{protocol.LabelCheckName: args[1], protocol.LabelRunID: args[2]},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPhase(args[3])},
	}
	for _, arg := range args[4:] {
		name, file, started := strings.Cut(arg, "=")
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: "example/check:1"})
		status := corev1.ContainerStatus{Name: name}
		if started {
			status.State.Running = &corev1.ContainerStateRunning{}
			w.say(args[0]+"/"+name, ts.ReadFile(file))
		} else {
			status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}
		}
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, status)
	}
	w.api.Put(pod)
}

// says POD/CONTAINER FILE: the container writes this to its log.
func says(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).say(args[0], ts.ReadFile(args[1]))
}

func (w *world) say(container, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs[container] += text
}

// phase POD PHASE [AFTER]: the pod has this phase from now on, or after a time.
func phase(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	change := func() {
		var pod corev1.Pod
		if w.api.Object("pods", "shop", args[0], &pod) {
			pod.Status.Phase = corev1.PodPhase(args[1])
			w.api.Put(&pod)
		}
	}
	if len(args) == 2 {
		change()
		return
	}
	after, err := time.ParseDuration(args[2])
	ts.Check(err)
	time.AfterFunc(after, change)
}

// serveLog answers GET …/pods/NAME/log, with follow until the pod has ended.
func (w *world) serveLog(rw http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // api/v1/namespaces/shop/pods/NAME/log
	name, written := parts[5], 0
	for {
		var pod corev1.Pod
		ended := !w.api.Object("pods", parts[3], name, &pod) || pod.Status.Phase != corev1.PodRunning
		w.mu.Lock()
		log := w.logs[name+"/"+r.URL.Query().Get("container")]
		w.mu.Unlock()
		if tail, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
			lines := strings.SplitAfter(log, "\n")
			log = strings.Join(lines[max(0, len(lines)-1-tail):], "")
		}
		_, _ = io.WriteString(rw, log[written:])
		_ = http.NewResponseController(rw).Flush()
		written = len(log)
		if ended || r.URL.Query().Get("follow") == "" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// deny VERB RESOURCE: the user has not this right.
func deny(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied[args[0]+" "+args[1]] = true
}

// refusal is what an API server answers a user who has not the right, or nil.
func (w *world) refusal(r *http.Request) *apierrors.StatusError {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for len(parts) > 0 && parts[0] != "namespaces" {
		parts = parts[1:]
	}
	if len(parts) < 3 {
		return nil
	}
	verb, resource, name := "get", parts[2], ""
	switch {
	case r.Method == http.MethodPatch:
		verb = "patch"
	case len(parts) == 3:
		verb = "list"
	}
	if len(parts) > 3 {
		name = parts[3]
	}
	if len(parts) > 4 {
		resource += "/" + parts[4]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.denied[verb+" "+resource] {
		return nil
	}
	return apierrors.NewForbidden(schema.GroupResource{Resource: parts[2]}, name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q in the namespace %q", "jane", verb, resource, "", parts[1]))
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// fetch STATUS FILE URL [HOST]: the answer has the status, and its body is written to the file. It asks until somebody answers.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequest(http.MethodGet, args[2], nil)
	ts.Check(err)
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Authorization", "Bearer of-somebody-else")
	if len(args) > 3 {
		request.Host = args[3]
	}
	var response *http.Response
	for deadline := time.Now().Add(time.Minute); ; {
		if response, err = http.DefaultClient.Do(request); err == nil {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o600))
	if strconv.Itoa(response.StatusCode) != args[0] {
		ts.Fatalf("status %d, want %s: %.300s", response.StatusCode, args[0], body)
	}
}
