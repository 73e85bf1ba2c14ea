package apitest_test

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

func state(namespace, name, version string) *khv1.KuberhealthyState {
	return &khv1.KuberhealthyState{
		TypeMeta:   metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.StateKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: version},
	}
}

// The server must be as strict as a real one where tests rely on it.
func TestServerRefuses(t *testing.T) {
	client, err := kube.NewClient(apitest.New(state("shop", "cart", "")).Config())
	if err != nil {
		t.Fatal(err)
	}
	states, ctx := client.States("shop"), t.Context()
	tests := []struct {
		name string
		call func() (*khv1.KuberhealthyState, error)
		want func(error) bool
	}{
		{"a second object of a name", func() (*khv1.KuberhealthyState, error) {
			return states.Create(ctx, state("shop", "cart", ""), metav1.CreateOptions{})
		}, apierrors.IsAlreadyExists},
		{"to create what has a version", func() (*khv1.KuberhealthyState, error) {
			return states.Create(ctx, state("shop", "till", "1"), metav1.CreateOptions{})
		}, apierrors.IsBadRequest},
		{"an object of another namespace", func() (*khv1.KuberhealthyState, error) {
			return states.Create(ctx, state("bank", "till", ""), metav1.CreateOptions{})
		}, apierrors.IsBadRequest},
		{"an update of an old version", func() (*khv1.KuberhealthyState, error) {
			return states.Update(ctx, state("shop", "cart", "0"), metav1.UpdateOptions{})
		}, apierrors.IsConflict},
		{"an update of no version", func() (*khv1.KuberhealthyState, error) {
			return states.Update(ctx, state("shop", "cart", ""), metav1.UpdateOptions{})
		}, apierrors.IsInvalid},
		{"an update of what there is not", func() (*khv1.KuberhealthyState, error) {
			return states.Update(ctx, state("shop", "till", "1"), metav1.UpdateOptions{})
		}, apierrors.IsNotFound},
		{"a strategic merge patch", func() (*khv1.KuberhealthyState, error) {
			return states.Patch(ctx, "cart", types.StrategicMergePatchType, []byte(`{}`), metav1.PatchOptions{})
		}, apierrors.IsUnsupportedMediaType},
		{"to delete what there is not", func() (*khv1.KuberhealthyState, error) {
			return nil, states.Delete(ctx, "till", metav1.DeleteOptions{})
		}, apierrors.IsNotFound},
		{"one object without a namespace", func() (*khv1.KuberhealthyState, error) {
			return client.States("").Get(ctx, "cart", metav1.GetOptions{})
		}, apierrors.IsNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.call(); !tt.want(err) {
				t.Errorf("answered %v, %v", got, err)
			}
		})
	}
	if cart, err := states.Get(ctx, "cart", metav1.GetOptions{}); err != nil || cart.ResourceVersion != "1" {
		t.Errorf("the state changed: %v, %v", cart, err)
	}
}
