package ledgertest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Postgres is a server of its own, on a Unix socket in a directory of its own.
type Postgres struct {
	bin, dir  string
	user      *syscall.Credential
	databases atomic.Int64
}

// NewPostgres starts a server, as an unprivileged user where the caller is root, which the server refuses to be.
func NewPostgres() (*Postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(ErrNotInstalled, err)
	}
	dir, err := os.MkdirTemp("", "khpg") // short, because socket paths are
	if err != nil {
		return nil, err
	}
	p := &Postgres{bin: filepath.Dir(slices.Max(found)), dir: dir}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Postgres) prepare() error {
	if os.Geteuid() == 0 {
		if err := p.becomeUnprivileged(); err != nil {
			return err
		}
	}
	return p.run("initdb", "--pgdata", p.data(), "--username", "khronicle", "--auth", "trust", "--encoding", "UTF8",
		"--no-locale", "--no-instructions")
}

func (p *Postgres) becomeUnprivileged() error {
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return err
	}
	p.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, int(uid), int(gid))
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server, which NewPostgres has done already, and waits until it answers.
func (p *Postgres) Start() error {
	options := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c max_connections=200 -c shared_buffers=256MB"+
		" -c max_wal_size=512MB", p.dir)
	return p.run("pg_ctl", "start", "--pgdata", p.data(), "--wait", "--silent", "--log", filepath.Join(p.dir, "log"), "--options", options)
}

// Crash ends the server at once, as kill -9 would: what was not on the disk is lost.
func (p *Postgres) Crash() error {
	return p.run("pg_ctl", "stop", "--pgdata", p.data(), "--mode", "immediate", "--wait", "--silent")
}

// Pause stops all processes of the server: it holds its connections, and answers nobody. Continue ends that.
func (p *Postgres) Pause() error { return p.signal(syscall.SIGSTOP) }

// Continue lets a server go on that was paused.
func (p *Postgres) Continue() error { return p.signal(syscall.SIGCONT) }

func (p *Postgres) signal(signal syscall.Signal) error {
	content, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	if err := syscall.Kill(postmaster, signal); err != nil { // first: a postmaster that is stopped starts no process
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", postmaster))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Socket returns the Unix socket of the server.
func (p *Postgres) Socket() string { return filepath.Join(p.dir, ".s.PGSQL.5432") }

// Restart ends the server in order and starts it again, without its files in the memory of the machine.
func (p *Postgres) Restart() error {
	if err := p.run("pg_ctl", "stop", "--pgdata", p.data(), "--mode", "fast", "--wait", "--silent"); err != nil {
		return err
	}
	if err := Evict(p.data()); err != nil {
		return err
	}
	return p.Start()
}

// Evict removes a file, or all files of a folder, from the memory of the machine, so that the next read comes from the disk.
func Evict(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// Close ends the server and removes its data.
func (p *Postgres) Close() error {
	return errors.Join(p.Crash(), os.RemoveAll(p.dir))
}

// Database makes an empty database and returns its address.
func (p *Postgres) Database() (string, error) {
	name := fmt.Sprintf("ledger%d", p.databases.Add(1))
	if err := p.run("createdb", "--host", p.dir, "--username", "khronicle", name); err != nil {
		return "", err
	}
	return "postgres:///" + name + "?" + url.Values{"host": {p.dir}, "user": {"khronicle"}}.Encode(), nil
}

func (p *Postgres) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.dir)
	if p.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	}
	// To a file: the server would keep a pipe open.
	output, err := os.CreateTemp(p.dir, program)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name()) // what it said only explains the error
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(said)))
	}
	return nil
}
