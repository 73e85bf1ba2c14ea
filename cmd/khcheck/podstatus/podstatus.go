// Package podstatus is the check that lists the pods of one namespace, or of all, and names the pods that are not healthy. It needs
// permission to list pods there. It never sends a report: its caller does.
package podstatus

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

const (
	// selector leaves out checker pods, because each check decides how its own pods end.
	selector = "app!=kuberhealthy-check,source!=kuberhealthy"
	// maxFaults is how many pods a report names, so that it stays readable when a whole cluster is down.
	maxFaults = 100
)

// Config says which pods are looked at. FromEnv documents the variables and defaults.
type Config struct {
	// Namespace is the namespace of the pods. Empty means all namespaces.
	Namespace string
	// Patience is how long a pod may be unhealthy before it is named.
	Patience time.Duration
}

// FromEnv reads the configuration. The names are those of Kuberhealthy's pod-status-check:
//
//	TARGET_NAMESPACE  the namespace of the pods (all)
//	SKIP_DURATION     younger pods are ignored (10m)
func FromEnv(env *settings.Env) Config {
	return Config{
		Namespace: env.String("TARGET_NAMESPACE", metav1.NamespaceAll),
		Patience:  env.Duration("SKIP_DURATION", 10*time.Minute),
	}
}

// Run looks at the pods of its own cluster, with its own service account, and returns what is wrong.
func (c Config) Run(ctx context.Context) []string {
	config, err := rest.InClusterConfig()
	if err != nil {
		return []string{fmt.Sprintf("connect to the API server: %v", err)}
	}
	config.UserAgent = "khronicle-pod-status"
	config.QPS = -1 // no limit: pages are read one after another
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return []string{fmt.Sprintf("connect to the API server: %v", err)}
	}
	return c.Look(ctx, client, time.Now())
}

// Look lists the pods page by page and returns what is wrong with them at that time, in the API server's order.
func (c Config) Look(ctx context.Context, client typedcorev1.PodsGetter, now time.Time) []string {
	var faults []string
	unnamed := 0
	err := c.eachPod(ctx, client, func(pod *corev1.Pod) {
		fault := Judge(pod, now, c.Patience)
		switch {
		case fault == "":
		case len(faults) < maxFaults:
			faults = append(faults, fault)
		default:
			unnamed++
		}
	})
	if unnamed > 0 {
		faults = append(faults, fmt.Sprintf("and %d further pods are not healthy", unnamed))
	}
	if err != nil {
		faults = append(faults, fmt.Sprintf("list pods in %s: %v", c.where(), err))
	}
	return faults
}

// eachPod calls visit with each pod that is no checker pod.
func (c Config) eachPod(ctx context.Context, client typedcorev1.PodsGetter, visit func(*corev1.Pod)) error {
	page := func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.Pods(c.Namespace).List(ctx, options)
	}
	options := metav1.ListOptions{LabelSelector: selector}
	return pager.New(page).EachListItem(ctx, options, func(object runtime.Object) error {
		visit(object.(*corev1.Pod))
		return nil
	})
}

func (c Config) where() string {
	if c.Namespace == metav1.NamespaceAll {
		return "all namespaces"
	}
	return "namespace " + c.Namespace
}
