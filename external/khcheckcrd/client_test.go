package khcheckcrd_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/external/internal/crdtest"
	"github.com/khronicle/khronicle/external/khcheckcrd"
)

// client has the order of arguments that all clients have in the tests.
type client struct {
	*khcheckcrd.KuberhealthyCheckClient
}

func (c client) Delete(resource, namespace, name string) (*khcheckcrd.KuberhealthyCheck, error) {
	return c.KuberhealthyCheckClient.Delete(resource, name, namespace)
}

func cart() *khcheckcrd.KuberhealthyCheck {
	check := khcheckcrd.NewKuberhealthyCheck("cart", "shop", khcheckcrd.NewCheckConfig(time.Minute, corev1.PodSpec{}))
	return &check
}

func TestClientOfChecks(t *testing.T) {
	type (
		check     = khcheckcrd.KuberhealthyCheck
		list      = khcheckcrd.KuberhealthyCheckList
		anyClient = crdtest.Client[*check, *list]
	)
	crdtest.Kind[check, list, *check, *list]{
		Name: "khcheck", Resource: "khchecks", Other: "khstates",
		New:    cart,
		Spec:   func(c *check) any { return c.Spec },
		Change: func(c *check) { c.Spec.Timeout = "2m" },
		Client: func(group, version, kubeconfig, namespace string) (anyClient, error) {
			c, err := khcheckcrd.Client(group, version, kubeconfig, namespace)
			if c == nil {
				return nil, err
			}
			return client{c}, err
		},
		CreateClient:    func(own rest.Interface) anyClient { return client{khcheckcrd.CreateClient(own)} },
		ConfigureScheme: khcheckcrd.ConfigureScheme, SchemeGroupVersion: khcheckcrd.SchemeGroupVersion,
	}.Run(t)
}
