// Package barrier is a participant's side of a saga: what a service needs to
// take part in plusone's likes and to come out right however calls repeat, race,
// overtake each other or get lost on the way.
//
//	plusone ──POST, signed──> Handler ──batch──> Do, the service's own function
//	                                              └ pgbarrier or redisbarrier, around its own writes
//
// A call names a step, try or compensate, and up to [MaxOps] ops, each of a saga.
// An answer that gets lost is asked for again, so calls come twice; a
// compensation may come before its step, and the step later all the same. A
// barrier is one small record per saga and participant, written in the very
// transaction (or script) that does the service's work:
//
//	             try                    compensate
//	nothing ──┬───────────> done ──────────────────> undone
//	          ├───────────> rejected
//	          └─compensate─> blocked
//
//	record     a try answers                 a compensation answers
//	nothing    what the work says            done, and blocks the step
//	done       done                          what the work says
//	rejected   rejected, as the first time   done
//	undone     rejected                      done
//	blocked    rejected                      done
//
// Only "what the work says" does anything beyond the record. So per saga the work
// of a try is done at most once, that of its compensation at most once and only
// after it, and at the end the effect stands exactly when the step was done and
// never compensated. A work that fails, or asks for a retry, leaves no record.
//
// This package knows nothing else of plusone and no store: any service may use it.
package barrier
