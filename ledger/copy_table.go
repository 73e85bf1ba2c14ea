package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// copiedTable is a table that Copy copies, with the numbers that its rows have.
type copiedTable struct {
	name string
	// group is a column of text. The rows of each of its values are copied separately. It may be empty.
	group string
	// order are columns of whole numbers. Together they order the rows, as the primary key does.
	order []string
	// key is the rest of the primary key.
	key []string
	// values are all other columns.
	values []string
	// chunk is how many rows are copied at once, or 0 for CopyOptions.Chunk.
	chunk int
}

// copied are all tables but schema_version and totals. Their order is that in which rows need each other.
var copied = []copiedTable{
	{name: "checks", order: []string{"id"}, values: slices.Concat([]string{"uid", "kind", "namespace", "name"}, newestColumns)},
	{name: "dictionary", order: []string{"id"}, values: []string{"word"}},
	{name: "records", order: recordKey, values: recordValues},
	// A piece may have 64 KiB, so few of them are in memory at once.
	{
		name: "evidence", group: "check_uid", order: []string{"tick", "trigger"}, key: []string{"kind", "name"}, values: []string{"size", "content"},
		chunk: MaxPieces,
	},
	{name: "hourly", order: []string{"hour", "check_id"}, values: tallyColumns},
	{name: "daily", order: []string{"check_id", "day"}, values: tallyColumns},
}

// numberedTables are those whose column id the database counts.
var numberedTables = []string{"checks", "dictionary"}

func (t copiedTable) primary() []string {
	if t.group == "" {
		return slices.Concat(t.order, t.key)
	}
	return slices.Concat([]string{t.group}, t.order, t.key)
}

func (t copiedTable) columns() []string { return slices.Concat(t.primary(), t.values) }

func (t copiedTable) selectAll(condition string) string {
	return `SELECT ` + strings.Join(t.columns(), ", ") + ` FROM ` + t.name + condition
}

// insert returns a statement for a row. givenID is needed where the database would number the rows itself.
func (t copiedTable) insert(givenID string) string {
	columns := t.columns()
	if !slices.Contains(numberedTables, t.name) {
		givenID = ""
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) %s VALUES (%s)`, t.name, strings.Join(columns, ", "), givenID, marks(1, len(columns)))
}

func (t copiedTable) remove() string {
	conditions := make([]string, len(t.primary()))
	for i, column := range t.primary() {
		conditions[i] = fmt.Sprintf("%s = $%d", column, i+1)
	}
	return `DELETE FROM ` + t.name + ` WHERE ` + strings.Join(conditions, " AND ")
}

// marks returns count parameters, from $first on.
func marks(first, count int) string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(list, ", ")
}

// section is a part of a table: the rows of a group whose numbers are more than after, and not more than until. Nil means that
// there is no such bound.
type section struct {
	group        string
	after, until []any
}

func (t copiedTable) where(s section) (condition string, arguments []any) {
	var conditions []string
	if t.group != "" {
		arguments = append(arguments, s.group)
		conditions = append(conditions, t.group+" = $1")
	}
	for _, bound := range []struct {
		operator string
		numbers  []any
	}{{">", s.after}, {"<=", s.until}} {
		if bound.numbers == nil {
			continue
		}
		conditions = append(conditions, fmt.Sprintf("(%s) %s (%s)", strings.Join(t.order, ", "), bound.operator, marks(len(arguments)+1, len(t.order))))
		arguments = append(arguments, bound.numbers...)
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return ` WHERE ` + strings.Join(conditions, " AND "), arguments
}

// rowValues is one row in the order of the columns: int64, string, []byte or nil.
type rowValues []any

func (t copiedTable) scan(scan scanner) (rowValues, error) {
	r := make(rowValues, len(t.columns()))
	destinations := make([]any, len(r))
	for i := range r {
		destinations[i] = &r[i]
	}
	if err := scan(destinations...); err != nil {
		return nil, err
	}
	for i, value := range r {
		switch n := value.(type) {
		case int16:
			r[i] = int64(n)
		case int32:
			r[i] = int64(n)
		case int64, string, []byte, nil:
		default:
			return nil, fmt.Errorf("column %s has the type %T", t.columns()[i], value)
		}
	}
	return r, nil
}

// encoded returns the values as bytes: equal values have equal bytes.
func (r rowValues) encoded() []byte {
	var b []byte
	for _, value := range r {
		switch v := value.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // the bits alone matter
		case string:
			b = append(binary.AppendUvarint(append(b, 's'), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, 'b'), uint64(len(v))), v...)
		}
	}
	return b
}

// digest is a sum over rows in any order.
type digest uint64

var digestSeed = maphash.MakeSeed()

func (d *digest) add(r rowValues) { *d += digest(maphash.Bytes(digestSeed, r.encoded())) }

// finder runs a query in the source or in the target.
type finder func(ctx context.Context, query string, found func(scanner) error, arguments ...any) error

// reading returns the finder of a reader.
func reading(q queryer) finder {
	return func(ctx context.Context, query string, found func(scanner) error, arguments ...any) error {
		return queryRows(ctx, q, query, found, arguments...)
	}
}

// within returns the finder of a transaction that may write.
func within(tx transaction) finder {
	return func(ctx context.Context, query string, found func(scanner) error, arguments ...any) error {
		return one(ctx, tx, query, found, arguments...)
	}
}

func (t copiedTable) read(ctx context.Context, find finder, s section) (rows map[string]rowValues, err error) {
	condition, arguments := t.where(s)
	rows = map[string]rowValues{}
	err = find(ctx, t.selectAll(condition), func(scan scanner) error {
		r, err := t.scan(scan)
		if err == nil {
			rows[string(r[:len(t.primary())].encoded())] = r
		}
		return err
	}, arguments...)
	return rows, err
}

// name returns the key of a row as errors show it.
func (t copiedTable) rowName(r rowValues) string {
	parts := make([]string, len(t.primary()))
	for i, column := range t.primary() {
		parts[i] = fmt.Sprintf("%s=%v", column, r[i])
	}
	return strings.Join(parts, " ")
}
