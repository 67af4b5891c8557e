package barrier

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxOps is how many ops a call holds at most.
const MaxOps = 500

// maxReason is in bytes.
const maxReason = 200

// Step is what a call asks for.
type Step string

// The steps.
const (
	Try        Step = "try"
	Compensate Step = "compensate" // take back what a try has done
)

// Op is one op of a call. Liked is the state that the user wants, for both steps.
type Op struct {
	Saga    string `json:"saga"`
	Key     string `json:"key"` // the same whenever this step of this saga is asked for
	Item    string `json:"item"`
	User    string `json:"user"`
	Liked   bool   `json:"liked"`
	Receipt string `json:"receipt"`
}

// Result is what became of an op.
type Result string

// The results. Whoever answers Rejected or Retry has left nothing behind.
const (
	Done     Result = "done"
	Rejected Result = "rejected" // for good, of a try only
	Retry    Result = "retry"    // ask again later
)

// Answer is the result of one op.
type Answer struct {
	Saga   string `json:"saga"`
	Result Result `json:"result"`
	Reason string `json:"reason,omitempty"`
}

// Done answers that the step is done.
func (op Op) Done() Answer { return Answer{Saga: op.Saga, Result: Done} }

// Rejected answers that the service will never do it. Users may get to see reason.
func (op Op) Rejected(reason string) Answer { return Answer{op.Saga, Rejected, tidy(reason)} }

// Retry answers that the service could not do it now.
func (op Op) Retry(reason string) Answer { return Answer{op.Saga, Retry, tidy(reason)} }

// tidy makes a reason fit for every store: short, valid UTF-8 without NUL.
func tidy(reason string) string {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

// Check returns the answers of a service's work on ops, with their reasons tidied,
// or an error when they are not one for each op, in order, and allowed for step.
func Check(step Step, ops []Op, answers []Answer) ([]Answer, error) {
	if len(answers) != len(ops) {
		return nil, fmt.Errorf("the work gave %d answers to %d ops", len(answers), len(ops))
	}
	checked := make([]Answer, len(ops))
	for i, a := range answers {
		known := a.Result == Done || a.Result == Retry || a.Result == Rejected && step == Try
		if !known || a.Saga != ops[i].Saga {
			return nil, fmt.Errorf("the work answered %s of saga %s with %q for saga %s", step, ops[i].Saga, a.Result, a.Saga)
		}
		checked[i] = Answer{a.Saga, a.Result, tidy(a.Reason)}
	}
	return checked, nil
}
