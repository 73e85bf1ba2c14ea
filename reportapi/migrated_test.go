package reportapi_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/test/golden"
)

func khType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: kind}
}

// left is a state that Kuberhealthy v2 left: without khWorkload, with the UUID of its last run.
func left(name string, errors ...string) *khv1.KuberhealthyState {
	s := state("ns", name, "", errors...)
	s.TypeMeta = khType(khv1.StateKind)
	s.Spec.KHWorkload, s.Spec.AuthoritativePod = nil, "kuberhealthy-7d9c8"
	return s
}

// Kuberhealthy never writes whether a state belongs to a check or a job. The resource of that name decides. The last
// outcomes are shown until the next ones are overdue.
func TestStatesOfKuberhealthyAreShownUntilTheyAreOverdue(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute))}
	}
	khcheck := func(name string) *khv1.KuberhealthyCheck {
		return &khv1.KuberhealthyCheck{TypeMeta: khType(khv1.CheckKind), ObjectMeta: meta(name)}
	}
	khjob := func(name string) *khv1.KuberhealthyJob {
		return &khv1.KuberhealthyJob{TypeMeta: khType(khv1.JobKind), ObjectMeta: meta(name)}
	}
	said := left("said-job")
	said.Spec.KHWorkload = new(khv1.KHWorkload)
	*said.Spec.KHWorkload = khv1.KHJob
	api := apitest.New(
		khcheck("check"), khcheck("both"), khjob("job"), khjob("both"),
		left("check"), left("job", "the job failed"), left("both"), left("gone", "its check and its job are gone"), said,
	)
	cluster, err := kube.New(kube.Options{Checks: true, Jobs: true, States: true, Config: api.Config()})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Start(t.Context())
	if err := cluster.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]time.Duration{"migrated": 30 * time.Second, "migrated-unknown": time.Hour} {
		o := options(&fakeTemporal{}, nil)
		o.View, o.Synced = showing(cluster, noon.Add(after)), cluster.Synced
		golden.Equal(t, name+".golden", shown(t, start(t, o)))
	}
}
