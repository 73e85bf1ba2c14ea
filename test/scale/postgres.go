//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/jackc/pgx/v5"

	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/test/wait"
)

// ledgerDatabase is the database of the ledger; Temporal has two of its own.
const ledgerDatabase = "ledger"

// postgres is a PostgreSQL server with a new data folder.
type postgres struct {
	*ledgertest.Programs
	folder string
}

// newPostgres makes the data folder.
func newPostgres(folder string) (*postgres, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	programs, err := ledgertest.NewPrograms(folder)
	if err != nil {
		return nil, err
	}
	return &postgres{programs, folder}, programs.Init()
}

// server is the command of the server. It syncs each commit to the disk, as in production.
func (p *postgres) server() *exec.Cmd {
	return p.Command("postgres", "-D", p.Data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+postgresPort,
		"-c", "unix_socket_directories="+p.folder, "-c", "max_connections=200", "-c", "shared_buffers=256MB")
}

// makeLedger waits until the server answers, and makes the database of the ledger.
func (p *postgres) makeLedger(ctx context.Context) error {
	var err error
	made := wait.Until(ctx, startTimeout, func() bool {
		err = p.Run("createdb", "--host", "127.0.0.1", "--port", postgresPort, "--username", "khronicle", ledgerDatabase)
		return err == nil
	})
	if !made {
		return err
	}
	return nil
}

func (p *postgres) dsn(database string) string { return dsnAt("127.0.0.1:"+postgresPort, database) }

func dsnAt(address, database string) string {
	return "postgres://khronicle@" + address + "/" + database + "?sslmode=disable"
}

// sizes are the bytes of the databases.
func (p *postgres) sizes(ctx context.Context, databases map[string][]string) (map[string]int64, error) {
	connection, err := pgx.Connect(ctx, p.dsn(ledgerDatabase))
	if err != nil {
		return nil, err
	}
	defer connection.Close(ctx)
	sizes := map[string]int64{}
	for part, names := range databases {
		for _, name := range names {
			var size int64
			if err := connection.QueryRow(ctx, "SELECT pg_database_size($1)", name).Scan(&size); err != nil {
				return nil, fmt.Errorf("size of database %s: %w", name, err)
			}
			sizes[part] += size
		}
	}
	return sizes, nil
}
