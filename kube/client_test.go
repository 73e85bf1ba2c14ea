package kube_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

func newClient(t *testing.T, api *apitest.Server) *kube.Client {
	t.Helper()
	client, err := kube.NewClient(api.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// typed is the common part of the clients of the three resources.
type typed[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// live creates, changes and deletes an object, with one request in each step. It returns what a watch saw of it.
func live[T metav1.Object](t *testing.T, client typed[T], object T) []watch.EventType {
	t.Helper()
	ctx, name := t.Context(), object.GetName()
	created, err := client.Create(ctx, object, metav1.CreateOptions{})
	if err != nil || created.GetResourceVersion() == "" {
		t.Fatalf("created %v, %v", created, err)
	}
	watched, err := client.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	got, err := client.Get(ctx, name, metav1.GetOptions{})
	if diff := cmp.Diff(created, got); err != nil || diff != "" {
		t.Errorf("got %v, and not what was created (-want +got):\n%s", err, diff)
	}
	got.SetLabels(map[string]string{"team": "cart"})
	if got, err = client.Update(ctx, got, metav1.UpdateOptions{}); err != nil || got.GetLabels()["team"] != "cart" {
		t.Errorf("updated %v, %v", got, err)
	}
	patch := []byte(`{"metadata":{"labels":{"team":"till"}}}`)
	if got, err = client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil || got.GetLabels()["team"] != "till" {
		t.Errorf("patched %v, %v", got, err)
	}
	if err := client.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	var seen []watch.EventType
	for e := range watched.ResultChan() {
		if _, ok := e.Object.(T); !ok {
			t.Errorf("%s is of a %T", e.Type, e.Object)
		}
		if seen = append(seen, e.Type); e.Type == watch.Deleted {
			break
		}
	}
	return seen
}

func TestClientReadsAndWritesEachResource(t *testing.T) {
	tests := []struct {
		resource string
		live     func(t *testing.T, client *kube.Client) []watch.EventType
	}{
		{"khchecks", func(t *testing.T, c *kube.Client) []watch.EventType {
			return live(t, c.Checks("shop"), khcheck("cart"))
		}},
		{"khjobs", func(t *testing.T, c *kube.Client) []watch.EventType { return live(t, c.Jobs("shop"), khjob("cart")) }},
		{"khstates", func(t *testing.T, c *kube.Client) []watch.EventType {
			return live(t, c.States("shop"), state("cart", "run-1"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.resource, func(t *testing.T) {
			api := apitest.New()
			seen := tt.live(t, newClient(t, api))
			if diff := cmp.Diff([]watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Deleted}, seen); diff != "" {
				t.Errorf("the watch saw (-want +got):\n%s", diff)
			}
			at := " " + tt.resource + " shop/cart"
			if diff := cmp.Diff([]string{"POST" + at, "GET" + at, "PUT" + at, "PATCH" + at, "DELETE" + at}, api.Requests().Calls()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientListsOneNamespaceOrAll(t *testing.T) {
	elsewhere := khcheck("cart")
	elsewhere.Namespace = "bank"
	client := newClient(t, apitest.New(khcheck("cart"), elsewhere, khcheck("till"), khjob("smoke"), state("cart", "")))
	for namespace, want := range map[string]int{"shop": 2, "bank": 1, "": 3, "post": 0} {
		checks, err := client.Checks(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(checks.Items) != want {
			t.Errorf("namespace %q has %d checks, %v; want %d", namespace, len(checks.Items), err, want)
		}
	}
	if jobs, err := client.Jobs("").List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) != 1 || jobs.Items[0].Name != "smoke" {
		t.Errorf("jobs %v, %v", jobs, err)
	}
	if states, err := client.States("").List(t.Context(), metav1.ListOptions{}); err != nil || len(states.Items) != 1 || states.Items[0].Name != "cart" {
		t.Errorf("states %v, %v", states, err)
	}
}

func TestErrorsOfClientAreThoseOfTheAPIServer(t *testing.T) {
	api := apitest.New(state("cart", "run-1"))
	states := newClient(t, api).States("shop")
	if _, err := states.Get(t.Context(), "till", metav1.GetOptions{}); !apierrors.IsNotFound(err) || err.Error() != `khstates.comcast.github.io "till" not found` {
		t.Errorf("error %v", err)
	}
	if _, err := states.Create(t.Context(), state("cart", ""), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("error %v, want that there is one", err)
	}
	stale := state("cart", "")
	stale.ResourceVersion = "0"
	if _, err := states.Update(t.Context(), stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	api.Refuse(apierrors.NewForbidden(stateResource, "cart", errors.New("no")))
	if _, err := states.Watch(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want that it is forbidden", err)
	}
}

// Custom resources have no protobuf, although the configuration of many programs asks for it.
func TestClientSpeaksJSONWhateverTheConfigSays(t *testing.T) {
	api := apitest.New()
	config := &rest.Config{Host: "http://api.test", Transport: api, ContentConfig: rest.ContentConfig{
		ContentType: runtime.ContentTypeProtobuf, AcceptContentTypes: runtime.ContentTypeProtobuf,
	}}
	before := rest.CopyConfig(config)
	client, err := kube.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Checks("shop").Create(t.Context(), khcheck("cart"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if sent := api.Requests().OfOne(); sent[0].ContentType != runtime.ContentTypeJSON || !strings.HasPrefix(sent[0].Body, `{"kind":"KuberhealthyCheck"`) {
		t.Errorf("sent %+v", sent)
	}
	if config.ContentType != before.ContentType || config.GroupVersion != nil || config.APIPath != "" || config.UserAgent != "" {
		t.Errorf("the config changed: %+v", config)
	}
}

func TestClientNamesItself(t *testing.T) {
	for given, want := range map[string]string{"": rest.DefaultKubernetesUserAgent(), "shop/1": "shop/1"} {
		api := apitest.New(khcheck("cart"))
		client, err := kube.NewClient(&rest.Config{Host: "http://api.test", Transport: api, UserAgent: given})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Checks("shop").Get(t.Context(), "cart", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		if sent := api.Requests().OfOne(); sent[0].UserAgent != want {
			t.Errorf("user agent %q, want %q", sent[0].UserAgent, want)
		}
	}
}

func TestNewClientFailsWithAWrongConfig(t *testing.T) {
	if _, err := kube.NewClient(&rest.Config{Host: "http://[broken"}); err == nil || !strings.HasPrefix(err.Error(), "make client of comcast.github.io/v1: ") {
		t.Errorf("error %v, want one that says what failed", err)
	}
}

// Kuberhealthy v2 registered its types in client-go's scheme for each new client. That ended the process when another
// goroutine was reading the scheme.
func TestClientsAreMadeWhileOthersWork(t *testing.T) {
	known := scheme.Scheme.Recognizes(khv1.GroupVersion.WithKind(khv1.CheckKind))
	api := apitest.New(khcheck("cart"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := newClient(t, api).Checks("shop").Get(t.Context(), "cart", metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if now := scheme.Scheme.Recognizes(khv1.GroupVersion.WithKind(khv1.CheckKind)); now != known {
		t.Error("a client changed client-go's scheme")
	}
}

func TestRegisterTypesMakesAClientOfClientGosScheme(t *testing.T) {
	if err := kube.RegisterTypes("example.org", "v1"); text(err) != `API group and version "example.org/v1": only comcast.github.io/v1 is served` {
		t.Errorf("error %v", err)
	}
	for range 2 {
		if err := kube.RegisterTypes("comcast.github.io", "v1"); err != nil {
			t.Fatal(err)
		}
	}
	own, err := rest.RESTClientFor(&rest.Config{
		Host: "http://api.test", APIPath: "/apis", Transport: apitest.New(khjob("smoke")),
		ContentConfig: rest.ContentConfig{
			GroupVersion: &khv1.GroupVersion, NegotiatedSerializer: serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := kube.ClientOf(own)
	if client.REST() != rest.Interface(own) {
		t.Error("the client has another REST client than it was given")
	}
	if job, err := client.Jobs("shop").Get(t.Context(), "smoke", metav1.GetOptions{}); err != nil || job.UID != "uid-of-smoke" {
		t.Errorf("job %v, %v", job, err)
	}
}

func TestInformersReadByTheRESTClient(t *testing.T) {
	client := newClient(t, apitest.New(state("cart", "run-1")))
	listed, err := cache.NewListWatchFromClient(client.REST(), khv1.StateResource, "shop", fields.Everything()).ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if states, ok := listed.(*khv1.KuberhealthyStateList); !ok || len(states.Items) != 1 || states.Items[0].Spec.CurrentUUID != "run-1" {
		t.Errorf("listed %v", listed)
	}
}

func TestServed(t *testing.T) {
	tests := []struct {
		group, version string
		want           bool
	}{
		{"comcast.github.io", "v1", true},
		{"comcast.github.io", "v2", false},
		{"comcast.github.io", "", false},
		{"kuberhealthy.github.io", "v1", false},
		{"", "", false},
	}
	for _, tt := range tests {
		if err := kube.Served(tt.group, tt.version); (err == nil) != tt.want {
			t.Errorf("%s/%s: %v, want served: %t", tt.group, tt.version, err, tt.want)
		}
	}
}

const kubeconfig = `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a}}],
clusters: [{name: a, cluster: {server: "http://file.test"}}]}`

func TestLoadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	noToken := errors.New("no token")
	tests := []struct {
		name       string
		kubeconfig string
		podErr     error // nil: it is a pod
		host       string
		errs       []error
	}{
		{"pod", "", nil, "http://pod.test", nil},
		{"pod with a file", path, nil, "http://pod.test", nil},
		{"file", path, rest.ErrNotInCluster, "http://file.test", nil},
		{"pod without a token, with a file", path, noToken, "http://file.test", nil},
		{"pod without a token", "", noToken, "", []error{noToken}},
		{"nothing", "", rest.ErrNotInCluster, "", []error{rest.ErrNotInCluster}},
		{"file is missing", missing, rest.ErrNotInCluster, "", []error{fs.ErrNotExist}},
		{"file is missing in a pod without a token", missing, noToken, "", []error{fs.ErrNotExist, noToken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, err := kube.LoadConfigAs(tt.kubeconfig, func() (*rest.Config, error) {
				return &rest.Config{Host: "http://pod.test"}, tt.podErr
			})
			if (err != nil) != (len(tt.errs) > 0) {
				t.Fatalf("error %v, want %v", err, tt.errs)
			}
			for _, want := range tt.errs {
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			}
			if err == nil && config.Host != tt.host {
				t.Errorf("host %s, want %s", config.Host, tt.host)
			}
		})
	}
}

func TestConnectOutsideACluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if client, err := kube.Connect(""); !errors.Is(err, rest.ErrNotInCluster) || client != nil {
		t.Errorf("client %v, error %v, want that there is no cluster", client, err)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	if url := client.REST().Get().Resource(khv1.CheckResource).URL().String(); url != "http://file.test/apis/comcast.github.io/v1/khchecks" {
		t.Errorf("asks %s", url)
	}
}
