package ledger

import "time"

// SagaView is a saga as programs read it.
type SagaView struct {
	ID           string     `json:"saga"`
	Receipt      string     `json:"receipt"`
	Item         string     `json:"item"`
	User         string     `json:"user"`
	Liked        bool       `json:"liked"`
	State        string     `json:"state"`
	WaitsFor     string     `json:"waits_for,omitempty"` // plusone: it is to be taken back, or ended
	Attempts     int        `json:"attempts"`            // at this step
	NextAt       *time.Time `json:"next_at,omitempty"`   // of the next attempt; while one is under way, when its claim ends
	MadeAt       time.Time  `json:"made_at"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`
	RejectedBy   string     `json:"rejected_by,omitempty"`
	Reason       string     `json:"reason,omitempty"`
	LastError    string     `json:"last_error,omitempty"`
	Notification string     `json:"notification,omitempty"`
	Steps        []StepView `json:"steps"`
	Acts         []Act      `json:"acts,omitempty"`
}

// StepView is what became of one participant's part: agreed, asked (no answer yet),
// waiting, rejected, given back, giving back, or unasked.
type StepView struct {
	Participant string `json:"participant"`
	State       string `json:"state"`
}

// ShowSagas is a list of sagas without acts.
func ShowSagas(found []SagaRecord) []SagaView {
	views := make([]SagaView, len(found))
	for i, r := range found {
		views[i] = ShowSaga(r, nil)
	}
	return views
}

// ShowSaga is a saga with what operators did to it.
func ShowSaga(r SagaRecord, acts []Act) SagaView {
	v := SagaView{
		ID: r.ID, Receipt: r.Receipt().String(), Item: r.Item, User: r.User, Liked: r.Liked, State: r.State, WaitsFor: r.WaitsFor,
		Attempts: r.Attempts, MadeAt: r.MadeAt, EndedAt: r.EndedAt, RejectedBy: r.RejectedBy, Reason: r.Reason,
		LastError: r.LastError, Notification: r.Notification, Acts: acts,
	}
	if r.EndedAt == nil && r.State != SagaStuck {
		v.NextAt = &r.NextAt
		if v.WaitsFor == "" {
			v.WaitsFor = "plusone"
		}
	}
	for i, p := range r.Participants {
		v.Steps = append(v.Steps, StepView{Participant: p, State: r.step(i)})
	}
	return v
}

// step tells what became of participant i's part, as far as the record tells.
func (r SagaRecord) step(i int) string {
	forward := r.State == SagaPending || r.State == SagaDone
	switch {
	case r.State == SagaDone && r.Step == 0, !forward && r.Participants[i] != r.RejectedBy && i >= r.agreed():
		return "unasked"
	case forward && i < r.Step:
		return "agreed"
	case forward && i == r.Step && r.Attempts > 0:
		return "asked"
	case forward:
		return "waiting"
	case i >= r.Step && r.Participants[i] == r.RejectedBy:
		return "rejected"
	case i >= r.Step:
		return "given back"
	default:
		return "giving back"
	}
}

// agreed is how many had agreed, or may have, when compensation began.
func (r SagaRecord) agreed() int {
	for i, p := range r.Participants {
		if p == r.RejectedBy {
			return i
		}
	}
	return len(r.Participants)
}
