package reportapi

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// PodFinder knows the checker pods of the cluster; package kube implements it. Kuberhealthy's clients before v2.5, and
// those in JavaScript and Python, send no run UUID. The address of their pod identifies their reports. That is weak,
// because an address is not secret and may belong to another pod later. So it must be switched on.
type PodFinder interface {
	// RunByPodIP returns the run of the only running checker pod that has this address for itself. It also returns the
	// kind, namespace and name of its check. The kind is "" if no check or job owns the pod. It sends no request.
	RunByPodIP(ip netip.Addr) (of check.Ref, runUUID string, ok bool)
}

// A check that reports as soon as it starts can be faster than the watch of its pod.
const (
	podLag     = 5 * time.Second
	podLagStep = 250 * time.Millisecond
	// maxWaiting is how many reports may wait until their pod is known. Each may be as large as maxReport.
	maxWaiting = 256
)

// errNotYet is the error of runAt when no pod has the address.
var errNotYet = errors.New("no pod is known with this address")

// These are answered 503. The client tries again, and another replica may know the pod by then.
var (
	errStopping    = errors.New("the server stops, and the sender's pod is not known yet")
	errTooManyWait = errors.New("too many reports without a run UUID wait until their pods are known")
)

func newUnnamedCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_reports_by_source_ip_total",
		Help: "Accepted reports that had no run UUID and whose run was found by the source address.",
	}, []string{"check", "check_namespace"})
}

// reportBySourceIP passes on a report without a run UUID.
func (s *Server) reportBySourceIP(ctx context.Context, sender netip.Addr, report workflows.Report, size int) error {
	of, runUUID, err := s.findRun(ctx, sender)
	if err != nil {
		return err
	}
	if err := s.signal(ctx, sender, runUUID, report, size); err != nil {
		return err
	}
	s.unnamed.WithLabelValues(of.CounterLabel(), of.Namespace).Inc()
	return nil
}

// findRun returns the run of the sender's pod. It waits until the pod is known.
func (s *Server) findRun(ctx context.Context, sender netip.Addr) (of check.Ref, runUUID string, err error) {
	if !sender.IsValid() {
		return of, "", errNoPod
	}
	if of, runUUID, err = s.runAt(sender); !errors.Is(err, errNotYet) {
		return of, runUUID, err
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return of, "", errTooManyWait
	}
	ctx, cancel := context.WithTimeout(ctx, podLag)
	defer cancel()
	again := time.NewTicker(podLagStep)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if of, runUUID, err = s.runAt(sender); !errors.Is(err, errNotYet) {
				return of, runUUID, err
			}
		case <-s.stopping: // the server stops sooner than this wait may end
			return of, "", errStopping
		case <-ctx.Done():
			if err := s.Synced(context.WithoutCancel(ctx)); err != nil {
				return of, "", err // 503: the pod may be among those that have not been read
			}
			return of, "", errNoPod
		}
	}
}

// runAt returns the run of the pod that has an address, or errNotYet.
func (s *Server) runAt(sender netip.Addr) (check.Ref, string, error) {
	of, found, ok := s.Pods.RunByPodIP(sender)
	if !ok {
		return of, "", errNotYet
	}
	runUUID, err := canonical(found)
	if err != nil {
		return of, "", errNoPod // somebody else has labelled this pod
	}
	return of, runUUID, nil
}
