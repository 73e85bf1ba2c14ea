// Command program shows how a Go program runs a check through package external. It reads a KHCheck from the cluster, runs
// it once and prints the outcome. Khronicle's workers do the run, and TEMPORAL_ADDRESS names their Temporal server. When the
// program dies during the run and starts again, it gets the same run.
//
//	program KUBECONFIG NAMESPACE NAME REPORTING_URL
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/external"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khstatecrd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: program KUBECONFIG NAMESPACE NAME REPORTING_URL")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, namespace, name, reportingURL string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	checks, err := khcheckcrd.Client(external.CRDGroup, external.CRDVersion, kubeconfig, namespace)
	if err != nil {
		return err
	}
	states, err := khstatecrd.Client(external.CRDGroup, external.CRDVersion, kubeconfig, namespace)
	if err != nil {
		return err
	}
	check, err := checks.Get(metav1.GetOptions{}, "khchecks", namespace, name)
	if err != nil {
		return err
	}

	checker := external.NewCheck(client, check, checks, states, reportingURL)
	checker.RunTimeout = time.Minute
	if err := checker.Run(ctx, client); err != nil {
		return err // the check itself did not report
	}
	ok, errs := checker.CurrentStatus()
	fmt.Println(checker.Name(), "OK:", ok, errs)
	return nil
}
