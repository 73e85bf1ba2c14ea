package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// WriteCheckStatus writes the status of a check with one request. read is the check from which the status was made. written
// is false, without an error, if the check has changed or was deleted since: whoever changed it may have written the status.
func (c *Cluster) WriteCheckStatus(ctx context.Context, read *khv1.KuberhealthyCheck, status khv1.CheckStatus) (written bool, err error) {
	patch, err := statusPatch(read, status)
	if err == nil {
		_, err = c.typed.Checks(read.Namespace).Patch(ctx, read.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("write the status of khcheck %s/%s: %w", read.Namespace, read.Name, err)
	}
	return true, nil
}

// statusPatch returns the merge patch that makes the status of a check the wanted one. It holds only for the version of the
// check that was read.
func statusPatch(read *khv1.KuberhealthyCheck, wanted khv1.CheckStatus) ([]byte, error) {
	present, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&read.Status)
	if err != nil {
		return nil, fmt.Errorf("encode the present status: %w", err)
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&wanted)
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	removeMissing(present, status)
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": read.ResourceVersion, "uid": read.UID},
		"status":   status,
	})
}

// removeMissing adds a null, which removes a field, for each field that the wanted object lacks.
func removeMissing(present, wanted map[string]any) {
	for name, value := range present {
		inner, isObject := value.(map[string]any)
		wantedInner, staysObject := wanted[name].(map[string]any)
		if _, stays := wanted[name]; !stays {
			wanted[name] = nil
		} else if isObject && staysObject {
			removeMissing(inner, wantedInner)
		}
	}
}
