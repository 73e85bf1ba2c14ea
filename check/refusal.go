package check

import (
	"errors"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// byAdmission finds the beginning of the message of an admission webhook or policy that refuses a pod, or of a webhook that
// does not answer. Such a refusal may have any status code, so nothing but its message identifies it.
var byAdmission = regexp.MustCompile(
	`^(admission webhook "|Internal error occurred: failed calling webhook "|pods "[^"]*" is forbidden: \w*AdmissionPolicy ')`)

// RefusedPod is the failure of a pod that the API server does not create. ok is false for an error that says nothing about
// the pod, such as that of an API server that is overloaded.
func RefusedPod(err error) (failure Failure, ok bool) {
	failure = CreateFailed(err.Error())
	switch {
	case refusedByAdmission(err), apierrors.IsForbidden(err): // a policy changes, and a quota has room later
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		failure.Outcome, failure.Refused, failure.Final = Failed, false, true
	case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsMethodNotSupported(err):
		failure.Refused, failure.Final = false, true
	default:
		return Failure{}, false
	}
	return failure, true
}

func refusedByAdmission(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && byAdmission.MatchString(status.Status().Message)
}
