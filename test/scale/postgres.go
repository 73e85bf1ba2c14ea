//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// ledgerDatabase is the database of the ledger; Temporal has two of its own.
const ledgerDatabase = "ledger"

// postgres is a PostgreSQL server with a new data folder.
type postgres struct {
	bin, folder string
	owner       *syscall.Credential
}

// newPostgres makes the data folder. It belongs to an unprivileged user: the server refuses to run as root.
func newPostgres(folder string) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.New("no PostgreSQL server under /usr/lib/postgresql (Debian package postgresql)")
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(account.Uid) // numbers on Linux
	gid, _ := strconv.Atoi(account.Gid)
	p := &postgres{bin: filepath.Dir(slices.Max(found)), folder: folder, owner: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chown(folder, uid, gid); err != nil {
		return nil, err
	}
	return p, p.run("initdb", "--pgdata", p.data(), "--username", "khronicle", "--auth", "trust", "--encoding", "UTF8",
		"--no-locale", "--no-instructions")
}

func (p *postgres) data() string { return filepath.Join(p.folder, "data") }

// server is the command of the server. It syncs each commit to the disk, as in production.
func (p *postgres) server() *exec.Cmd {
	return p.command("postgres", "-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+postgresPort,
		"-c", "unix_socket_directories="+p.folder, "-c", "max_connections=200", "-c", "shared_buffers=256MB")
}

// makeLedger waits until the server answers, and makes the database of the ledger.
func (p *postgres) makeLedger(ctx context.Context) error {
	var err error
	made := eventually(ctx, func() bool {
		err = p.run("createdb", "--host", "127.0.0.1", "--port", postgresPort, "--username", "khronicle", ledgerDatabase)
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

func (p *postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.folder
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.folder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

func (p *postgres) run(program string, args ...string) error {
	out, err := p.command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
