//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/khronicle/khronicle/internal/devserver"
	"github.com/khronicle/khronicle/test/wait"
)

// Databases of the stock Temporal server in PostgreSQL.
const (
	temporalDatabase   = "temporal"
	visibilityDatabase = "temporal_visibility"
)

// temporalCommand returns the command of the Temporal server.
func (s *stack) temporalCommand() *exec.Cmd {
	if s.postgres {
		return s.stockServer()
	}
	o := devserver.Options{StateDir: filepath.Join(s.state, "temporal"), Port: temporalPort, UIPort: temporalUI}
	return exec.Command(filepath.Join(s.bin, "temporal"), append(o.Args(), s.temporalArgs...)...)
}

// stockServer is the server of docker-compose.yml: all four services in one process, four history shards.
func (s *stack) stockServer() *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, "temporal-server"), "--allow-no-auth", "start")
	cmd.Env = append(os.Environ(),
		"DB=postgres12_pgx", "DB_PORT="+postgresPort, "POSTGRES_SEEDS=127.0.0.1", "POSTGRES_USER=khronicle", "POSTGRES_PWD=unused",
		"DBNAME="+temporalDatabase, "VISIBILITY_DBNAME="+visibilityDatabase, "NUM_HISTORY_SHARDS=4", "LOG_LEVEL=error",
		"BIND_ON_IP=127.0.0.1", "TEMPORAL_BROADCAST_ADDRESS=127.0.0.1", "DYNAMIC_CONFIG_FILE_PATH="+s.dynamicConfig,
		"PUBLIC_FRONTEND_ADDRESS=127.0.0.1:"+strconv.Itoa(temporalPort),
	)
	for i, service := range []string{"FRONTEND", "HISTORY", "MATCHING", "WORKER"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_GRPC_PORT=%d", service, temporalPort+i), fmt.Sprintf("%s_MEMBERSHIP_PORT=%d", service, temporalPort+10+i))
	}
	return cmd
}

// makeTemporalDatabases does what deploy/temporal/schema.sh does.
func (s *stack) makeTemporalDatabases(ctx context.Context) error {
	for database, schema := range map[string]string{temporalDatabase: "temporal", visibilityDatabase: "visibility"} {
		for _, args := range [][]string{
			{"create-database"},
			{"setup-schema", "--version", "0.0"},
			{"update-schema", "--schema-name", "postgresql/v12/" + schema},
		} {
			args = append([]string{
				"--plugin", "postgres12_pgx", "--endpoint", "127.0.0.1", "--port", postgresPort,
				"--user", "khronicle", "--password", "unused", "--database", database,
			}, args...)
			if out, err := exec.CommandContext(ctx, filepath.Join(s.bin, "temporal-sql-tool"), args...).CombinedOutput(); err != nil {
				return fmt.Errorf("temporal-sql-tool %s: %w: %s", strings.Join(args, " "), err, out)
			}
		}
	}
	return nil
}

// makeNamespace does what deploy/temporal/namespace.sh does. The CLI's server needs none of it.
func (s *stack) makeNamespace(ctx context.Context) error {
	var err error
	done := wait.Until(ctx, startTimeout, func() bool {
		_, err = s.temporal.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: "default", WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
		})
		if exists := new(serviceerror.NamespaceAlreadyExists); err != nil && !errors.As(err, &exists) {
			return false
		}
		// The server reads its namespaces again every some seconds.
		_, err = s.temporal.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: "default", SearchAttributes: searchAttributes(),
		})
		exists := new(serviceerror.AlreadyExists)
		return err == nil || errors.As(err, &exists)
	})
	if !done {
		return fmt.Errorf("make namespace of Temporal: %w", err)
	}
	return nil
}

func searchAttributes() map[string]enumspb.IndexedValueType {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, name := range []string{attributeCheck, attributeNamespace, attributeOutcome} {
		attributes[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	return attributes
}
