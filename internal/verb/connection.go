package verb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

const (
	// service and servicePort are those of the report API in all installations.
	service     = "kuberhealthy"
	servicePort = 80
	apiPath     = "/api/v1"
	envService  = "KHRONICLE_NAMESPACE"
	// requestTimeout bounds one request, in verbs that ask again and again.
	requestTimeout = 10 * time.Second
)

// connection finds the cluster and the REST API that a command uses.
type connection struct {
	kubeconfig       string
	overrides        clientcmd.ConfigOverrides
	serviceNamespace string
	server           string
}

func newConnection() *connection {
	return &connection{serviceNamespace: cmp.Or(os.Getenv(envService), protocol.DefaultNamespace)}
}

// addClusterFlags adds the flags of every verb. They are those of kubectl, but --server is the address of Khronicle.
func (c *connection) addClusterFlags(f *pflag.FlagSet) {
	f.StringVar(&c.kubeconfig, clientcmd.RecommendedConfigPathFlag, "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then in-cluster)")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ClusterOverrideFlags.APIServer.LongName = ""
	names.AuthOverrideFlags.Username.LongName, names.AuthOverrideFlags.Password.LongName = "", "" // no API server has them
	names.ContextOverrideFlags.Namespace.Description = "namespace of the checks (default: that of the context)"
	clientcmd.BindOverrideFlags(&c.overrides, f, names)
}

func (c *connection) clientConfig() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &c.overrides)
}

// addAPIFlags adds the flags of a verb that reads from the REST API.
func (c *connection) addAPIFlags(f *pflag.FlagSet) {
	c.addClusterFlags(f)
	f.StringVar(&c.serviceNamespace, "service-namespace", c.serviceNamespace, "namespace of Khronicle, whose Service "+service+" is read through the API server ["+envService+"]")
	f.StringVar(&c.server, "server", "", "URL of the report API, such as http://localhost:8080, to read from it and not through the API server")
}

// rest returns the address and credentials of the API server.
func (c *connection) rest() (*rest.Config, error) {
	config, err := c.clientConfig().ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster (set --kubeconfig or KUBECONFIG): %w", err)
	}
	config.UserAgent = "khronicle/cli"
	return config, nil
}

// checks returns the client of the checks of a namespace.
func (c *connection) checks(namespace string) (*kube.CheckClient, error) {
	config, err := c.rest()
	if err != nil {
		return nil, err
	}
	client, err := kube.NewClient(config)
	if err != nil {
		return nil, err
	}
	return client.Checks(namespace), nil
}

// api returns the client of the REST API.
func (c *connection) api() (*apiclient.Client, error) {
	if c.server != "" {
		address, err := c.serverURL()
		if err != nil {
			return nil, err
		}
		return apiclient.NewClient(address.JoinPath(apiPath).String(), apiclient.WithHTTPClient(&http.Client{}))
	}
	config, err := c.rest()
	if err != nil {
		return nil, err
	}
	client, address, err := serviceProxy(config, c.serviceNamespace, service, servicePort)
	if err != nil {
		return nil, err
	}
	return apiclient.NewClient(address+apiPath, apiclient.WithHTTPClient(proxied{client, c.serviceNamespace}))
}

// serverURL reads --server.
func (c *connection) serverURL() (*url.URL, error) {
	address, err := url.Parse(c.server)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, usagef("--server: %q is not a URL such as http://localhost:8080", c.server)
	}
	return address, nil
}

// proxied sends requests through the API server. An answer of the API server itself becomes an error.
type proxied struct {
	client    *http.Client
	namespace string
}

// Do sends a request.
func (p proxied) Do(request *http.Request) (*http.Response, error) {
	response, status, err := p.ask(request)
	if err != nil || status == nil {
		return response, err
	}
	return nil, fmt.Errorf("service %s/%s: %w", p.namespace, service, &apierrors.StatusError{ErrStatus: *status})
}

// ask sends a request. status is set when the API server answered, or something else that is not the REST API.
func (p proxied) ask(request *http.Request) (response *http.Response, status *metav1.Status, err error) {
	response, err = p.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode < http.StatusBadRequest || kind == "application/problem+json" {
		return response, nil, nil
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what is cut is no Status
	response.Body = io.NopCloser(bytes.NewReader(body))
	status = &metav1.Status{}
	if json.Unmarshal(body, status) != nil || status.Kind != "Status" {
		status.Message, status.Code = fmt.Sprintf("%s: %s", response.Status, firstOf(string(body))), int32(response.StatusCode)
	}
	return response, status, nil
}

// namespace returns that of --namespace, or of the context.
func (c *connection) namespace() (string, error) {
	namespace, _, err := c.clientConfig().Namespace()
	if clientcmd.IsEmptyConfig(err) { // --server needs no kubeconfig
		return cmp.Or(c.overrides.Context.Namespace, metav1.NamespaceDefault), nil
	}
	if err != nil {
		return "", fmt.Errorf("find the namespace: %w", err)
	}
	return namespace, nil
}

// ref is the namespace and the name of a check or job.
type ref struct{ namespace, name string }

func (r ref) String() string { return r.namespace + "/" + r.name }

// ref reads NAME or NAMESPACE/NAME.
func (c *connection) ref(arg string) (ref, error) {
	namespace, name, both := strings.Cut(arg, "/")
	if !both {
		inNamespace, err := c.namespace()
		if err != nil {
			return ref{}, err
		}
		namespace, name = inNamespace, arg
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return ref{}, usagef("%q is not NAME or NAMESPACE/NAME", arg)
	}
	return ref{namespace, name}, nil
}

func (c *connection) refs(args []string) ([]ref, error) {
	refs := make([]ref, len(args))
	for i, arg := range args {
		one, err := c.ref(arg)
		if err != nil {
			return nil, err
		}
		refs[i] = one
	}
	return refs, nil
}

// permanent is true for an error that another try will not mend.
func permanent(err error) bool {
	code := 0
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code = int(status.Status().Code)
	} else if problem := (*apiclient.Problem)(nil); errors.As(err, &problem) {
		code = problem.Status
	}
	switch code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	}
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError
}
