package verb

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/external/apiclient"
)

// flagLedger names a ledger that is read without a cluster.
const flagLedger = "ledger"

// Ledgers is how a command reads a ledger without a cluster.
type Ledgers struct {
	// Variable is the environment variable that names the ledger if no flag names a source.
	Variable string
	// Open opens the ledger that a data source name names, only to read it.
	Open func(ctx context.Context, dsn string) (Ledger, error)
}

// Ledger answers the requests of the REST API that are about runs and evidence.
type Ledger interface {
	apiclient.HttpRequestDoer
	// Recorded returns the checks and jobs with records.
	Recorded(ctx context.Context) ([]apiclient.CheckName, error)
	Close() error
}

// source is where a command reads runs and evidence: from the REST API, or from a ledger.
type source struct {
	*connection
	ledgers Ledgers
	dsn     string
	// ledger is the one that is open, or nil. reads is its client.
	ledger Ledger
	reads  *apiclient.Client
}

func newSource(ledgers Ledgers) *source {
	return &source{connection: newConnection(), ledgers: ledgers}
}

// addFlags adds the flags of a command that reads runs or evidence.
func (s *source) addFlags(command *cobra.Command) {
	s.addAPIFlags(command.Flags())
	command.Flags().StringVar(&s.dsn, flagLedger, "", "ledger to read without a cluster, such as sqlite:PATH or postgres://USER@HOST/DATABASE ["+s.ledgers.Variable+"]")
	command.MarkFlagsMutuallyExclusive(flagLedger, "server")
}

// named returns the ledger that the command line names. The variable counts only if no flag names a cluster or a server, so that
// it never hides the cluster that was asked for.
func (s *source) named(f *pflag.FlagSet) (dsn, origin string) {
	if f.Changed(flagLedger) {
		return s.dsn, "--" + flagLedger
	}
	elsewhere := false
	for _, flag := range []string{"server", "service-namespace", "kubeconfig", "context", "cluster", "user"} {
		elsewhere = elsewhere || f.Changed(flag)
	}
	if dsn = os.Getenv(s.ledgers.Variable); elsewhere || dsn == "" {
		return "", ""
	}
	return dsn, s.ledgers.Variable
}

// connect returns the client of the REST API, or one that a ledger answers. The caller closes the source.
func (s *source) connect(cmd *cobra.Command) (*apiclient.Client, error) {
	dsn, origin := s.named(cmd.Flags())
	switch {
	case s.ledger != nil:
		return s.reads, nil
	case origin == "":
		return s.api()
	case dsn == "":
		return nil, usagef("%s: is empty", origin)
	}
	opened, err := s.ledgers.Open(cmd.Context(), dsn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	s.ledger = opened
	if origin != "--"+flagLedger {
		fmt.Fprintf(cmd.ErrOrStderr(), "reading the ledger of %s\n", origin)
	}
	s.reads, err = apiclient.NewClient("http://ledger"+apiPath, apiclient.WithHTTPClient(opened))
	return s.reads, err
}

// close closes the ledger, if one is open.
func (s *source) close() {
	if s.ledger != nil {
		_ = s.ledger.Close() // it was only read
	}
}

// names completes the arguments of a command by the names of checks and jobs.
func (s *source) names(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if dsn, _ := s.named(cmd.Flags()); dsn == "" {
		return s.connection.names(cmd, args, word)
	}
	if _, err := s.connect(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer s.close()
	recorded, err := s.ledger.Recorded(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := make([]string, len(recorded))
	for i, one := range recorded {
		names[i] = one.Namespace + "/" + one.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// kindOf returns the kind of a check or job, or nil if it is not known.
func kindOf(kind apiclient.Kind) *apiclient.Kind {
	if kind == "" {
		return nil
	}
	return &kind
}
