//go:build linux

package main

import (
	"context"
	"net/url"
	"os/exec"
	"time"

	"github.com/khronicle/khronicle/ledger/ledgertest"
)

// postgres is a PostgreSQL server whose data is on the disk of the ledger.
type postgres struct {
	*ledgertest.Programs
	folder string
}

// newPostgres makes an empty cluster of databases.
func newPostgres(folder string) (*postgres, error) {
	programs, err := ledgertest.NewPrograms(folder, marker())
	if err != nil {
		return nil, err
	}
	return &postgres{programs, folder}, programs.Init("--no-sync", "--wal-segsize", "4")
}

// server is the command of the server, which stays in the foreground.
func (p *postgres) server() *exec.Cmd {
	return p.Command("postgres", "-D", p.Data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+postgresPort,
		"-c", "unix_socket_directories="+p.folder, "-c", "max_connections=60", "-c", "shared_buffers=64MB",
		"-c", "min_wal_size=8MB", "-c", "max_wal_size=32MB")
}

// makeDatabase waits until the server answers, and makes the database of the ledger.
func (p *postgres) makeDatabase(ctx context.Context) error {
	for {
		err := p.Run("createdb", "--host", p.folder, "--port", postgresPort, "--username", "khronicle", "ledger")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// dsn names the database, at an address.
func (p *postgres) dsn(address string) string {
	return "postgres://khronicle@" + address + "/ledger?" + url.Values{"sslmode": {"disable"}}.Encode()
}
