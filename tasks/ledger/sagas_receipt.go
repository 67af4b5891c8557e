package ledger

import "plusone/hotpath/like"

// sagaProgressSQL is the saga that decides a receipt: $3 is the user, $4 what the
// ids of the receipt's sagas begin with.
const sagaProgressSQL = `
	SELECT s.state, s.rejected_by, s.reason,
	       -- by the alphabet, pending > exhausted > delivered
	       (SELECT max(d.state) FROM notifications n JOIN deliveries d ON d.seq = n.seq WHERE n.id = s.notification) AS told
	  FROM sagas s
	 WHERE s.id > $4 || '-' AND s.id < $4 || '.' AND s.user_id = $3
	 ORDER BY array_position('{compensated,stuck,compensating,pending,done}'::text[], s.state) LIMIT 1`

type sagaProgress struct{ state, by, reason, told *string }

func (s sagaProgress) progress() like.Progress {
	p := like.Progress{State: like.Persisted, By: text(s.by), Reason: text(s.reason)}
	switch told := text(s.told); {
	case *s.state == SagaCompensated:
		p.State = like.Compensated
	case *s.state == SagaCompensating, *s.state == SagaStuck:
		p.State = like.Compensating
	case *s.state == SagaPending:
	case told == "delivered":
		p.State = like.Notified
	case told == "exhausted":
		p.State = like.Exhausted
	default:
		p.State = like.Confirmed
	}
	return p
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
