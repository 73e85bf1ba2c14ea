package ledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrNewerSchema is the error of a database that a newer Khronicle has migrated.
var ErrNewerSchema = errors.New("the database has a newer schema than this version of Khronicle knows")

// Migrations are numbered without gaps from 1. A released one is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationFiles returns the names in the order of their numbers.
func migrationFiles() ([]string, error) { return fs.Glob(migrations, "migrations/*.sql") }

// migrate brings the schema to its newest version, all steps in one transaction. The transaction is also the lock: of several
// workers that start at once, one migrates, and the others find that it is done.
func migrate(ctx context.Context, s store) error {
	files, err := migrationFiles()
	if err != nil {
		return err
	}
	if found, err := currentVersion(ctx, s); err != nil || found == len(files) {
		return err
	}
	return s.write(ctx, func(tx transaction) error {
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(files) {
			return fmt.Errorf("%w: it has version %d, this one knows %d", ErrNewerSchema, version, len(files))
		}
		for _, file := range files[version:] {
			if err := apply(ctx, tx, file, s.keywords()); err != nil {
				return fmt.Errorf("migration %s: %w", file, err)
			}
		}
		return nil
	})
}

// firstAnswer bounds the first query to a database, which may not answer. A migration itself may take longer.
const firstAnswer = 10 * time.Second

func currentVersion(ctx context.Context, s store) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	return readVersion(ctx, s.reader(), s.versioned())
}

const selectVersion = `SELECT coalesce(max(version), 0) FROM schema_version`

func schemaVersion(ctx context.Context, tx transaction) (version int, err error) {
	if err := tx.script(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)`); err != nil {
		return 0, err
	}
	err = one(ctx, tx, selectVersion,
		func(scan scanner) error { return scan(&version) })
	return version, err
}

func apply(ctx context.Context, tx transaction, file string, keywords *strings.Replacer) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(file, "migrations/"), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	script := strings.ReplaceAll(keywords.Replace(string(text)), "{{new identity}}", "'"+uuid.NewString()+"'")
	if err := tx.script(ctx, script); err != nil {
		return err
	}
	return one(ctx, tx, `INSERT INTO schema_version (version) VALUES ($1)`, nil, version)
}
