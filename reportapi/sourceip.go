package reportapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// PodFinder knows the checker pods of the cluster; package kube has it. Kuberhealthy's clients before v2.5, and those in
// JavaScript and Python, send no run UUID: their reports are told by the address of their pod. That is weak, as an
// address is no secret and not for ever the same pod's, and therefore not done unless it is asked for.
type PodFinder interface {
	// RunByPodIP returns the run of the only checker pod that runs and has this address for itself, and the kind (""
	// where no check or job owns the pod), namespace and name of its check. It asks nobody.
	RunByPodIP(ip netip.Addr) (of check.Ref, runUUID string, ok bool)
}

// A check that reports as soon as it starts can be faster than the news of its pod's address.
const (
	podLag     = 5 * time.Second
	podLagStep = 50 * time.Millisecond
)

// errStopping is answered 503: the client tries again, and another replica may have the pod by then.
var errStopping = errors.New("the server stops, and the sender's pod is not known yet")

func newUnnamedCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_reports_by_source_ip_total",
		Help: "Accepted reports that had no run UUID and were told by their source address.",
	}, []string{"check", "check_namespace"})
}

// reportBySourceIP passes on a report without a run UUID. Its sender is the other end of the connection: what a header
// says of it, such as X-Forwarded-For, anyone could say.
func (s *Server) reportBySourceIP(r *http.Request, report status.Report) error {
	of, runUUID, err := s.findRun(r.Context(), r.RemoteAddr)
	if err != nil {
		return err
	}
	if err := s.signal(r.Context(), runUUID, report); err != nil {
		return err
	}
	s.unnamed.WithLabelValues(of.CounterLabel(), of.Namespace).Inc()
	return nil
}

func (s *Server) findRun(ctx context.Context, remote string) (check.Ref, string, error) {
	sender, err := netip.ParseAddrPort(remote)
	if err != nil {
		return check.Ref{}, "", errNoPod
	}
	ctx, cancel := context.WithTimeout(ctx, podLag)
	defer cancel()
	again := time.NewTicker(podLagStep)
	defer again.Stop()
	for {
		if of, found, ok := s.Pods.RunByPodIP(sender.Addr().Unmap()); ok {
			if runUUID, err := canonical(found); err == nil {
				return of, runUUID, nil
			}
			return check.Ref{}, "", errNoPod // a pod that somebody else has labelled
		}
		select {
		case <-again.C:
		case <-s.stopping: // which does not wait as long as this may
			return check.Ref{}, "", errStopping
		case <-ctx.Done():
			if err := s.Synced(context.WithoutCancel(ctx)); err != nil {
				return check.Ref{}, "", err // 503: the pod may be among those that have not been read
			}
			return check.Ref{}, "", errNoPod
		}
	}
}
