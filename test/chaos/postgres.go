//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postgres is a PostgreSQL server whose data is on the disk of the ledger.
type postgres struct {
	bin, folder string
	account     *syscall.Credential
}

// findPostgres returns an error that says what is missing.
func findPostgres() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL server under /usr/lib/postgresql (Debian package postgresql)")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// newPostgres makes an empty cluster of databases, owned by an unprivileged user: the server refuses to be root.
func newPostgres(folder string) (*postgres, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	p := &postgres{bin: bin, folder: folder}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	p.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return p, p.run("initdb", "--pgdata", p.data(), "--username", "khronicle", "--auth", "trust", "--encoding", "UTF8",
		"--no-locale", "--no-instructions", "--no-sync", "--wal-segsize", "4")
}

func (p *postgres) data() string { return filepath.Join(p.folder, "data") }

// server is the command of the server, which stays in the foreground.
func (p *postgres) server() *exec.Cmd {
	return p.command("postgres", "-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+postgresPort,
		"-c", "unix_socket_directories="+p.folder, "-c", "max_connections=60", "-c", "shared_buffers=64MB",
		"-c", "min_wal_size=8MB", "-c", "max_wal_size=32MB")
}

// makeDatabase waits until the server answers, and makes the database of the ledger.
func (p *postgres) makeDatabase(ctx context.Context) error {
	for {
		err := p.run("createdb", "--host", p.folder, "--port", postgresPort, "--username", "khronicle", "ledger")
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

func (p *postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.folder
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.folder, marker())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	return cmd
}

func (p *postgres) run(program string, args ...string) error {
	out, err := p.command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
