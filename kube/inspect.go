package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Inspector reads what tells whether an installation is in order. The errors are those of the API server.
type Inspector struct {
	core  kubernetes.Interface
	typed *Client
	http  *http.Client
	base  string
}

// NewInspector returns an inspector of the cluster of config.
func NewInspector(config *rest.Config) (*Inspector, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = requestsPerSecond, requestsBurst
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, ""
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make Kubernetes client: %w", err)
	}
	typed, err := NewClient(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client of the API server: %w", err)
	}
	config.GroupVersion = nil
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the URL of the API server: %w", err)
	}
	return &Inspector{core: core, typed: typed, http: client, base: base.String()}, nil
}

// Version returns the version of the API server, and the header Date of its answer.
func (i *Inspector) Version(ctx context.Context) (version, date string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.base+"/version", nil)
	if err != nil {
		return "", "", fmt.Errorf("make request: %w", err)
	}
	response, err := i.http.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var answer struct{ GitVersion, Message string }
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("GET /version: %s: %s", response.Status, answer.Message)
	}
	return answer.GitVersion, response.Header.Get("Date"), nil
}

// Definition returns a CustomResourceDefinition as JSON has it.
func (i *Inspector) Definition(ctx context.Context, name string) (map[string]any, error) {
	text, err := i.core.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", name).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var found map[string]any
	return found, json.Unmarshal(text, &found)
}

// Right is a verb with a resource, or with a path of the API server that is no resource.
type Right struct {
	Verb, Group, Resource, Subresource, Path string
	// Namespace is where the right is needed. Empty means all namespaces.
	Namespace string
}

// String returns the right as people write it, such as "patch khchecks".
func (r Right) String() string {
	what := r.Resource + r.Path
	if r.Subresource != "" {
		what += "/" + r.Subresource
	}
	if r.Group == "events.k8s.io" { // two groups have events
		what += "." + r.Group
	}
	if r.Namespace != "" {
		return r.Verb + " " + what + " in " + r.Namespace
	}
	return r.Verb + " " + what
}

func (r Right) attributes() (*authorizationv1.ResourceAttributes, *authorizationv1.NonResourceAttributes) {
	if r.Path != "" {
		return nil, &authorizationv1.NonResourceAttributes{Verb: r.Verb, Path: r.Path}
	}
	return &authorizationv1.ResourceAttributes{
		Verb: r.Verb, Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace,
	}, nil
}

// MayI is true if the caller has a right.
func (i *Inspector) MayI(ctx context.Context, right Right) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{}
	review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes = right.attributes()
	answer, err := i.core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// MayAccount is true if a ServiceAccount has a right.
func (i *Inspector) MayAccount(ctx context.Context, namespace, account string, right Right) (bool, error) {
	const groups = "system:serviceaccounts"
	review := &authorizationv1.SubjectAccessReview{}
	review.Spec.User = "system:serviceaccount:" + namespace + ":" + account
	review.Spec.Groups = []string{groups, groups + ":" + namespace, "system:authenticated"}
	review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes = right.attributes()
	answer, err := i.core.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// HasAccount is true if there is a ServiceAccount.
func (i *Inspector) HasAccount(ctx context.Context, namespace, name string) (bool, error) {
	_, err := i.core.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Deployments returns the Deployments of Khronicle in a namespace.
func (i *Inspector) Deployments(ctx context.Context, namespace string) ([]appsv1.Deployment, error) {
	list, err := i.core.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=khronicle"})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// ConfigMap returns what a ConfigMap has. It is nil if there is none.
func (i *Inspector) ConfigMap(ctx context.Context, namespace, name string) (map[string]string, error) {
	found, err := i.core.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found.Data, nil
}

// pageSize is how many objects one request lists.
const pageSize = 500

// Checks returns the checks of some namespaces, or of all if none is named.
func (i *Inspector) Checks(ctx context.Context, namespaces []string) ([]khv1.KuberhealthyCheck, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []khv1.KuberhealthyCheck
	for _, namespace := range namespaces {
		options := metav1.ListOptions{Limit: pageSize}
		for more := true; more; more = options.Continue != "" {
			page, err := i.typed.Checks(namespace).List(ctx, options)
			if err != nil {
				return nil, err
			}
			all, options.Continue = append(all, page.Items...), page.Continue
		}
	}
	return all, nil
}

// NewestCheckerPod returns the newest pod of a check or job. It is nil if there is none.
func (i *Inspector) NewestCheckerPod(ctx context.Context, namespaces []string) (newest *corev1.Pod, err error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		options := metav1.ListOptions{LabelSelector: protocol.LabelCheckName, Limit: pageSize}
		for more := true; more; more = options.Continue != "" {
			page, err := i.core.CoreV1().Pods(namespace).List(ctx, options)
			if err != nil {
				return nil, err
			}
			for _, pod := range page.Items {
				if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
					newest = pod.DeepCopy()
				}
			}
			options.Continue = page.Continue
		}
	}
	return newest, nil
}

// ReadyEndpoints returns how many addresses of a Service are ready. exists is false if there is no such Service.
func (i *Inspector) ReadyEndpoints(ctx context.Context, namespace, name string) (ready int, exists bool, err error) {
	if _, err := i.core.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return 0, false, nil
		}
		return 0, false, err
	}
	slice, err := i.core.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return 0, true, err
	}
	for _, s := range slice.Items {
		for _, endpoint := range s.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready += len(endpoint.Addresses)
			}
		}
	}
	return ready, true, nil
}

// lookAtPod is the time between two looks at a pod that runs once.
const lookAtPod = 300 * time.Millisecond

// RunPod runs a pod until it ends, or until ctx ends, and deletes it. It returns the pod as it was seen last.
func (i *Inspector) RunPod(ctx context.Context, pod *corev1.Pod) (seen *corev1.Pod, err error) {
	pods := i.core.CoreV1().Pods(pod.Namespace)
	if seen, err = pods.Create(ctx, pod, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
		return nil, err
	}
	name := seen.Name
	defer func() {
		deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
		if e := pods.Delete(deleting, name, now); err == nil && e != nil && !apierrors.IsNotFound(e) {
			err = fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, name, e)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return seen, nil
		case <-time.After(lookAtPod):
		}
		found, err := pods.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			seen = found
		case apierrors.IsNotFound(err):
			return seen, fmt.Errorf("pod %s/%s was deleted before it ended", pod.Namespace, name)
		}
		if slices.Contains([]corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed}, seen.Status.Phase) {
			return seen, nil
		}
	}
}
