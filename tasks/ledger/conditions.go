package ledger

import (
	"strconv"
	"strings"
)

// conditions are what a list is asked for. Each list has its own statement: one plan
// for all that may be asked would use no index.
type conditions struct {
	parts []string
	args  []any
}

// and adds a condition on a value, for which ? stands, unless that is the zero one.
func (c *conditions) and(condition string, value any) {
	switch value {
	case "", int64(0), nil:
		return
	}
	c.args = append(c.args, value)
	c.parts = append(c.parts, strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(c.args))))
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

func (c *conditions) limit(n int) string {
	c.args = append(c.args, n)
	return " LIMIT $" + strconv.Itoa(len(c.args))
}
