package khjobcrd_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/internal/apitest"
)

// finds fails the test unless the client reaches the API server, which has the job smoke.
func finds(t *testing.T, client *khjobcrd.KHJobV1Client, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if job, err := client.KuberhealthyJobs("shop").Get("smoke", metav1.GetOptions{}); err != nil || job.Name != "smoke" {
		t.Errorf("job %+v, %v", job, err)
	}
}

func TestConstructors(t *testing.T) {
	api := apitest.New(smoke("smoke"))
	client, err := khjobcrd.Client(api.Kubeconfig(t))
	finds(t, client, err)
	finds(t, khjobcrd.New(client.RESTClient()), nil)
	client, err = khjobcrd.NewForConfig(api.Config())
	finds(t, client, err)
	finds(t, khjobcrd.NewForConfigOrDie(api.Config()), nil)
}

// Kuberhealthy v2 lost this error and then ended the process.
func TestClientFailsWithoutAnAPIServer(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if client, err := khjobcrd.Client(""); !errors.Is(err, rest.ErrNotInCluster) || client != nil {
		t.Errorf("client %v, error %v, want that there is no cluster", client, err)
	}
	if client, err := khjobcrd.Client("/missing/config"); client != nil || err == nil ||
		err.Error() != "load kubeconfig /missing/config: stat /missing/config: no such file or directory" {
		t.Errorf("client %v, error %v, want that the file is missing", client, err)
	}
}

func TestClientFailsWithAWrongConfig(t *testing.T) {
	broken := &rest.Config{Host: "http://[broken"}
	if client, err := khjobcrd.NewForConfig(broken); client != nil || err == nil || !strings.HasPrefix(err.Error(), "make client of comcast.github.io/v1: ") {
		t.Errorf("client %v, error %v", client, err)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !strings.HasPrefix(err.Error(), "make client of comcast.github.io/v1: ") {
			t.Errorf("panic %v, want the error", err)
		}
	}()
	khjobcrd.NewForConfigOrDie(broken)
}

func TestRESTClientOfNoClient(t *testing.T) {
	if got := (*khjobcrd.KHJobV1Client)(nil).RESTClient(); got != nil {
		t.Errorf("REST client %v, want none", got)
	}
}

// Kuberhealthy v2 changed client-go's scheme in each new client, while other goroutines read the scheme. Its reaper made a
// client every half minute, and the process ended with "concurrent map read and map write".
func TestClientsAreMadeWhileOthersWork(t *testing.T) {
	api := apitest.New(smoke("smoke"))
	kubeconfig := api.Kubeconfig(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := khjobcrd.Client(kubeconfig)
			if err == nil {
				_, err = client.KuberhealthyJobs("shop").Get("smoke", metav1.GetOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewWithClientGosScheme(t *testing.T) {
	if err := khjobcrd.ConfigureScheme("example.org", "v1"); err == nil {
		t.Error("configured the scheme for a group that is not served")
	}
	if err := khjobcrd.ConfigureScheme("comcast.github.io", "v1"); err != nil {
		t.Fatal(err)
	}
	config := apitest.New(smoke("smoke")).Config()
	config.APIPath, config.GroupVersion = "/apis", &khjobcrd.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	own, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	finds(t, khjobcrd.New(own), nil)
}
