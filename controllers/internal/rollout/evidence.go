package rollout

import "math"

// evidence counts the observations of port pressure during one batch, on updated nodes and on
// the other selected nodes over the same time.
type evidence struct {
	// updated is the number of updated nodes, worse the number of those on which pressure
	// increased.
	updated, worse int
	// restless is the number of those increases that the past of unstable nodes explains.
	restless int
	// others and worseOthers are the same for nodes that are not updated yet.
	others, worseOthers int
	// chance and chanceOthers are the probabilities that pressure increases on one node in
	// that time without a cause, estimated from each node's past.
	chance, chanceOthers float64
	// batch is the number of the batch, from 1.
	batch int
}

// These are the assumptions of the estimate before anything is observed. They are chosen so
// that the error rates in docs/tuning.md hold.
const (
	// priorHarm is the probability that settings do harm that the first batch shows. That a
	// later batch is the first to show it is less probable in proportion to its number,
	// which also corrects for the number of looks.
	priorHarm = 0.2
	// priorPeak is the probability that a peak of traffic, which has nothing to do with the
	// settings, begins during a batch.
	priorPeak = 0.02
	// maxChance and minChance limit the estimates.
	minChance, maxChance = 1e-9, 0.99
)

// estimateHarm returns the probability that the settings increased port pressure. It is the
// posterior probability of Bayes' theorem with four hypotheses: pressure increases by
// chance; by a peak that affects all nodes alike; by the settings on updated nodes; or by
// both. The share of affected nodes is unknown, so a uniform prior stands for it. Without
// other nodes a peak can't be told from harm and is left out.
func (e evidence) estimateHarm() float64 {
	e.updated, e.worse = e.updated-e.restless, e.worse-e.restless
	if e.worse <= 0 || e.others > 0 && e.worse*e.others <= e.worseOthers*e.updated {
		return 0 // not worse than the others
	}
	chance, chanceOthers := clampChance(e.chance), clampChance(e.chanceOthers)
	if float64(e.worse) <= chance*float64(e.updated) {
		return 0
	}
	harm, peak := priorHarm/float64(max(1, e.batch)), priorPeak
	if e.others == 0 {
		peak = 0
	}
	byChance := logFixed(e.worse, e.updated, chance)
	othersByChance := logFixed(e.worseOthers, e.others, chanceOthers)
	logs := [4]float64{
		math.Log((1-harm)*(1-peak)) + byChance + othersByChance,
		math.Log((1-harm)*peak) + logUniform(e.worse+e.worseOthers, e.updated+e.others),
		math.Log(harm*(1-peak)) + logUniform(e.worse, e.updated) + othersByChance,
		math.Log(harm*peak) + logUniform(e.worse, e.updated) + logUniform(e.worseOthers, e.others),
	}
	highest := max(logs[0], logs[1], logs[2], logs[3])
	var all, harmful float64
	for i, l := range logs {
		weight := math.Exp(l - highest)
		all += weight
		if i >= 2 {
			harmful += weight
		}
	}
	return harmful / all
}

func clampChance(p float64) float64 { return min(max(p, minChance), maxChance) }

// logFixed returns the logarithm of the probability that exactly k certain nodes of n are
// affected if each is with probability p.
func logFixed(k, n int, p float64) float64 {
	return float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
}

// logUniform returns the same if p is unknown, with a uniform prior: the logarithm of the
// beta function of k+1 and n-k+1.
func logUniform(k, n int) float64 {
	return logGamma(k+1) + logGamma(n-k+1) - logGamma(n+2)
}

func logGamma(n int) float64 {
	v, _ := math.Lgamma(float64(n))
	return v
}
