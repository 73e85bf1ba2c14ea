package lint

import (
	"errors"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// refusal is one thing that an API server says against an object, in its own words. Its field may be empty.
type refusal struct {
	severity    Severity
	field, text string
}

// refusals returns what the answer of an API server says against an object.
func refusals(answer metav1.Status) []refusal {
	if unknown := unknownField.FindAllStringSubmatch(answer.Message, -1); unknown != nil {
		var all []refusal
		for _, found := range unknown {
			all = append(all, refusal{Error, found[1], "unknown to the definition in the cluster; apply the definitions of this version first"})
		}
		return all
	}
	if answer.Reason == metav1.StatusReasonInvalid && answer.Details != nil && len(answer.Details.Causes) > 0 {
		var all []refusal
		for _, cause := range answer.Details.Causes {
			all = append(all, refusal{Error, cause.Field, structValue.ReplaceAllString(cause.Message, "$1")})
		}
		return all
	}
	return []refusal{whole(answer)}
}

// structValue matches a value that is a whole struct. It is long, and the manifest shows it better.
var structValue = regexp.MustCompile(`^(Invalid value: )\{.*\}: `)

// unknownField matches an unknown field in the answer to strict validation.
var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// whole returns the refusal of an object for a reason that names no field.
func whole(answer metav1.Status) refusal {
	text := answer.Message
	if _, reason, ok := strings.Cut(text, " is forbidden: "); ok {
		text = reason
	}
	switch {
	case strings.Contains(text, "exceeded quota"):
		return refusal{Warning, "", "is refused now: " + text}
	case answer.Reason == metav1.StatusReasonNotFound && (answer.Details == nil || answer.Details.Name == ""):
		return refusal{Error, "apiVersion", "the cluster has no definition of this kind; apply deploy/crds first"}
	case answer.Reason == metav1.StatusReasonForbidden && strings.Contains(text, "cannot create resource"):
		return refusal{Error, "", "was not validated: " + text}
	case answer.Reason == metav1.StatusReasonForbidden || answer.Reason == metav1.StatusReasonInvalid:
		return refusal{Error, "", "is refused: " + text}
	default: // such as a webhook that does not answer, or that cannot judge without an effect
		return refusal{Error, "", "was not validated: " + text}
	}
}

// isMissingNamespace is true for the answer to an object whose namespace does not exist.
func isMissingNamespace(err error) bool {
	var answer apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &answer) {
		return false
	}
	details := answer.Status().Details
	return details != nil && details.Kind == "namespaces"
}

// isMissingAccount is true for the answer to a pod whose ServiceAccount does not exist.
func isMissingAccount(err error, name string) bool {
	return name != "" && apierrors.IsForbidden(err) && strings.Contains(err.Error(), "error looking up service account")
}

// fieldBefore matches a warning that begins with a field.
var fieldBefore = regexp.MustCompile(`^((?:spec|metadata)[^\s:]*): `)

// splitField returns the field at the beginning of a warning, if there is one, and the rest.
func splitField(warning string) (field, text string) {
	found := fieldBefore.FindStringSubmatch(warning)
	if found == nil {
		return "", warning
	}
	return found[1], warning[len(found[0]):]
}

// other names an object of another kind. The namespace of a cluster-wide object is empty.
func other(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// remember notes an object that pods need. It may be applied together with the checks, and so not yet be in the cluster.
func (l *Linter) remember(o *object) {
	metadata, _ := o.value["metadata"].(map[string]any)
	switch kind := text(o.value["kind"]); kind {
	case "Namespace", "ServiceAccount":
		l.others[other(kind, text(metadata["namespace"]), text(metadata["name"]))] = true
	}
}
