package verb

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/khronicle/khronicle/internal/doctor"
	"github.com/khronicle/khronicle/kube"
)

const doctorLong = `Look for what is wrong with this installation, and print the command that mends each thing.

The kubeconfig is enough to look at the custom resources, the rights, the roles, the report API, the reporting URL and the ledger.
Temporal, its workers and its schedules need --temporal-address, or TEMPORAL_ADDRESS. Other TEMPORAL_* variables, such as those of
TLS and keys, count too. Nothing is changed. With --pod, one pod runs for a moment and tries the reporting URL.

The exit code is 0 when nothing is wrong, although there may be warnings. It is 1 when something is wrong. It is 3 when nothing is
known to be wrong, but a question could not be answered.`

// podWithin is how long the pod that tries the reporting URL may take, with the pull of its image.
const podWithin = time.Minute

// podImage is the image of the checks that ship, as in the examples.
const podImage = "khronicle/khcheck:dev"

// examination is what the command doctor asks for.
type examination struct {
	*connection
	output
	targets      []string
	temporal     doctor.TemporalOptions
	reportingURL string
	pod          bool
	image        string
}

func doctorCommand() *cobra.Command {
	e := &examination{connection: newConnection()}
	command := &cobra.Command{
		Use: "doctor", Short: "Say what is wrong with this installation, and what mends it", Long: doctorLong, Args: cobra.NoArgs,
		Example: "  khronicle doctor\n  khronicle doctor --temporal-address localhost:7233 --pod -n shop",
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := e.options(cmd)
			if err != nil {
				return err
			}
			findings := doctor.Examine(cmd.Context(), options)
			if err := e.show(cmd.OutOrStdout(), findings); err != nil {
				return err
			}
			return asError(findings)
		},
	}
	f := command.Flags()
	e.addAPIFlags(f)
	e.addFlag(f)
	f.StringSliceVar(&e.targets, "target-namespaces", nil, "namespaces whose checks are run (default: those of the ConfigMap khronicle, or all)")
	f.StringVar(&e.temporal.Address, "temporal-address", "", "address of Temporal, such as localhost:7233, to look at it; by default that of TEMPORAL_ADDRESS")
	f.StringVar(&e.temporal.Namespace, "temporal-namespace", "", "namespace in Temporal; by default that of TEMPORAL_NAMESPACE")
	f.StringVar(&e.reportingURL, "reporting-url", "", "URL at which checks report (default: that of the newest checker pod)")
	f.BoolVar(&e.pod, "pod", false, "run a pod in the namespace of -n that tries the reporting URL")
	f.StringVar(&e.image, "pod-image", podImage, "image of khcheck for --pod")
	return command
}

// options finds the cluster and Temporal.
func (e *examination) options(cmd *cobra.Command) (o doctor.Options, err error) {
	if err := e.validate(cmd); err != nil {
		return o, err
	}
	config, err := e.rest()
	if err != nil {
		return o, err
	}
	if o.Cluster, err = kube.NewInspector(config); err != nil {
		return o, err
	}
	if o.Reports, err = e.reports(); err != nil {
		return o, err
	}
	environment, err := doctor.TemporalFromEnvironment()
	if err != nil {
		return o, err
	}
	if o.Pod, err = e.podOptions(); err != nil {
		return o, err
	}
	o.Namespace, o.Targets, o.CallersNamespace = e.serviceNamespace, e.targets, e.overrides.Context.Namespace
	o.Temporal.Address = cmp.Or(e.temporal.Address, environment.Address)
	o.Temporal.Namespace = cmp.Or(e.temporal.Namespace, environment.Namespace)
	o.ReportingURL = cmp.Or(e.reportingURL, os.Getenv("KH_EXTERNAL_REPORTING_URL"))
	o.Kubectl, o.Now = e.kubectl(), time.Now
	return o, nil
}

func (e *examination) validate(cmd *cobra.Command) error {
	if wrong := validation.IsDNS1123Label(e.serviceNamespace); wrong != nil {
		return usagef("--service-namespace: %q is not the name of a namespace: %s", e.serviceNamespace, wrong[0])
	}
	if cmd.Flags().Changed("pod-image") && !e.pod {
		return usagef("--pod-image: needs --pod")
	}
	if e.pod && e.image == "" {
		return usagef("--pod-image: is empty")
	}
	return e.output.validate()
}

func (e *examination) podOptions() (doctor.PodOptions, error) {
	if !e.pod {
		return doctor.PodOptions{}, nil
	}
	namespace, err := e.namespace()
	return doctor.PodOptions{Namespace: cmp.Or(namespace, metav1.NamespaceDefault), Image: e.image, Within: podWithin}, err
}

// reports returns the way to the report API: the Service by the API server, or --server.
func (e *examination) reports() (doctor.ReportAPI, error) {
	if e.server != "" {
		address, err := e.serverURL()
		if err != nil {
			return doctor.ReportAPI{}, err
		}
		return doctor.ReportAPI{Client: &http.Client{}, Base: strings.TrimSuffix(address.String(), "/")}, nil
	}
	config, err := e.rest()
	if err != nil {
		return doctor.ReportAPI{}, err
	}
	client, address, err := serviceProxy(config, e.serviceNamespace, service, servicePort)
	return doctor.ReportAPI{Client: readiness{proxied{client, e.serviceNamespace}}, Base: address}, err
}

// readiness passes on the answer of /readyz of a report API that is not ready.
type readiness struct{ proxied }

// Do sends a request.
func (r readiness) Do(request *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(request.URL.Path, "/readyz") {
		return r.proxied.Do(request)
	}
	response, status, err := r.ask(request)
	if err != nil || status == nil || status.Kind == "" {
		return response, err
	}
	return nil, &apierrors.StatusError{ErrStatus: *status}
}

// kubectl is the command kubectl for the same cluster.
func (e *examination) kubectl() string {
	command := "kubectl"
	if e.kubeconfig != "" {
		command += " --kubeconfig " + quoted(e.kubeconfig)
	}
	if e.overrides.CurrentContext != "" {
		command += " --context " + quoted(e.overrides.CurrentContext)
	}
	return command
}

// needsQuotes matches what a shell may read as more than a word.
var needsQuotes = regexp.MustCompile(`[^a-zA-Z0-9/._:@-]`)

// quoted is a word for a shell.
func quoted(text string) string {
	if !needsQuotes.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// show writes the findings: a table, and below it the commands that mend what is wrong.
func (e *examination) show(out io.Writer, findings []doctor.Finding) error {
	l := list{header: []string{"STATUS", "WHAT", "DETAIL", "COMMAND"}, narrow: 3, state: 0, whole: true}
	for _, f := range findings {
		l.rows = append(l.rows, []string{string(f.Status), f.Name, f.Detail, cmp.Or(f.Mend, "-")})
		l.names = append(l.names, f.Name)
		l.cases = append(l.cases, caseOf(f))
	}
	l.value = struct {
		Status   doctor.Status    `json:"status"`
		Findings []doctor.Finding `json:"findings"`
	}{doctor.Worst(findings), findings}
	if err := e.print(out, l); err != nil || e.format != "table" {
		return err
	}
	return showCommands(out, findings)
}

func caseOf(f doctor.Finding) testCase {
	c := testCase{Class: "khronicle.doctor", Name: f.Name}
	said := &failure{Message: printable(f.Detail), Text: printable(f.Mend)}
	switch f.Status {
	case doctor.Fail:
		c.Failure = said
	case doctor.Unknown:
		c.Error = said
	case doctor.Skipped:
		c.Skipped = said
	}
	return c
}

func showCommands(out io.Writer, findings []doctor.Finding) error {
	title := "\nWhat mends it, or shows more:\n"
	for _, f := range findings {
		if f.Mend == "" || f.Status == doctor.OK {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s%s:\n  %s\n", title, f.Name, printable(f.Mend)); err != nil {
			return err
		}
		title = ""
	}
	return nil
}

// asError is an error with the exit code of the findings.
func asError(findings []doctor.Finding) error {
	count := map[doctor.Status]int{}
	for _, f := range findings {
		count[f.Status]++
	}
	switch doctor.Worst(findings) {
	case doctor.Fail:
		return failedf("%d of %d things are wrong", count[doctor.Fail], len(findings))
	case doctor.Unknown:
		return fmt.Errorf("%d of %d questions could not be answered", count[doctor.Unknown], len(findings))
	}
	return nil
}
