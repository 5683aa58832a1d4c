package trace

import (
	"math"
	"math/rand/v2"
)

// poisson draws from the Poisson distribution of that mean.
func poisson(random *rand.Rand, mean float64) int64 {
	switch {
	case mean <= 0:
		return 0
	case mean < 10:
		return poissonByProduct(random, mean)
	default:
		return poissonByRejection(random, mean)
	}
}

// poissonByProduct multiplies uniform numbers until they fall below e^-mean (D. E. Knuth,
// The Art of Computer Programming, volume 2, section 3.4.1).
func poissonByProduct(random *rand.Rand, mean float64) int64 {
	limit := math.Exp(-mean)
	count := int64(-1)
	for product := 1.0; product > limit; count++ {
		product *= random.Float64()
	}
	return count
}

// poissonByRejection is the algorithm PTRS of W. Hörmann, "The transformed rejection
// method for generating Poisson random variables" (1993), for means of 10 and more.
func poissonByRejection(random *rand.Rand, mean float64) int64 {
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	inverseAlpha := 1.1239 + 1.1328/(b-3.4)
	accept := 0.9277 - 3.6224/(b-2)
	logMean := math.Log(mean)
	for {
		u := random.Float64() - 0.5
		v := random.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= accept {
			return int64(k)
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		logFactorial, _ := math.Lgamma(k + 1)
		if math.Log(v*inverseAlpha/(a/(us*us)+b)) <= k*logMean-mean-logFactorial {
			return int64(k)
		}
	}
}
