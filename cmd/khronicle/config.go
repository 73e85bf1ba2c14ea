package main

import (
	"cmp"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/ledger"
)

// config holds the flags, and the environment variables that replace their defaults. Temporal's settings are the TEMPORAL_*
// variables. Settings that the configuration file may change are in process.live.
type config struct {
	flags               *pflag.FlagSet
	file                string
	kubeconfig, context string
	podName, namespace  string
	targetNamespaces    []string
	listen, operations  string
	// pprof is the loopback address of profiles, or empty.
	pprof            string
	sourceIP         bool
	unknownIsHealthy bool
	showEvidence     bool
	// temporalUI is the address of Temporal's web UI, or empty.
	temporalUI     string
	startBurst     int
	ledger         string
	deadmanURL     string
	reportingURL   string
	logLevel       string
	debug, logJSON bool
	forceMaster    bool
	// devServer is the address of the Temporal server that khronicle dev has started, else empty.
	devServer string
	// temporalAddress is the address of Temporal's frontend, or empty for that of the TEMPORAL_* settings.
	temporalAddress string
	// makesNamespace is true if the process makes its Temporal namespace when there is none.
	makesNamespace bool
	reapInterval   time.Duration
	// reapFault says what is wrong with envReapInterval.
	reapFault string
	retention check.Retention
	// podStarts is how many checker pods may start per second. runningPods is how many may run at once. 0 means no limit.
	podStarts   float64
	runningPods int
	// records are the limits of the ledger.
	records ledger.Retention
}

// defaultConfig returns the defaults of the flags, with the environment variables that replace them.
func defaultConfig() *config {
	hostname, _ := os.Hostname() // without a hostname the name is khronicle
	c := &config{
		podName:      cmp.Or(os.Getenv("POD_NAME"), hostname, "khronicle"),
		namespace:    cmp.Or(os.Getenv(envNamespace), protocol.DefaultNamespace),
		reportingURL: os.Getenv(envReportingURL),
		retention:    check.DefaultRetention(),
		records:      ledger.DefaultRetention(),
		ledger:       os.Getenv(envLedger),
		deadmanURL:   os.Getenv(envDeadmanURL),
	}
	c.targetNamespaces = split(os.Getenv(envTargetNamespaces))
	c.reapInterval, c.reapFault = parseReapInterval(os.Getenv(envReapInterval))
	return c
}

// split returns the words of a list that are separated by commas.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}
