// The scan of one object: a thread sums over all epochs of all bands for its frequency.
//
// `gpu.py` compiles this with MAX_EXACT of `models.py`; the closed forms are those of `add_band`
// and `solve_block` there.

__device__ __forceinline__ void turn(double cycles, float* cosine, float* sine) {
    sincospif((float)(2.0 * cycles), sine, cosine);
}

__device__ __forceinline__ void turn(double cycles, double* cosine, double* sine) {
    sincospi(2.0 * cycles, sine, cosine);
}

template <typename real>
__device__ void scan(const double* t, const double* w, const double* yw, const long long* starts,
                     const double* weights, const double* chi2, int n_bands, double df,
                     long long first, int length, double limit, double* separate, double* shared,
                     unsigned char* is_unsure) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= length) return;
    double frequency = (double)(first + i) * df;
    double power = 0, sensitivity = 0, all_cc = 0, all_ss = 0, all_cs = 0, all_yc = 0, all_ys = 0;
    for (int k = 0; k < n_bands; k++) {
        real yc = 0, ys = 0, c = 0, s = 0, c2 = 0, s2 = 0;
        for (long long n = starts[k]; n < starts[k + 1]; n++) {
            double cycles = frequency * t[n];
            real cosine, sine, w_n = (real)w[n], yw_n = (real)yw[n];
            turn(cycles - rint(cycles), &cosine, &sine);
            yc += yw_n * cosine;
            ys += yw_n * sine;
            real w_cos = w_n * cosine, w_sin = w_n * sine;
            c += w_cos;
            s += w_sin;
            c2 += w_cos * cosine - w_sin * sine;
            s2 += 2 * w_cos * sine;
        }
        double weight = weights[k], inverse = 1.0 / weight;
        double cc = 0.5 * (weight + c2) - (double)c * c * inverse;
        double ss = 0.5 * (weight - c2) - (double)s * s * inverse;
        double cs = 0.5 * s2 - (double)c * s * inverse;
        if (starts[k + 1] - starts[k] <= MAX_EXACT) {
            power += chi2[k];
        } else {
            double reach = (cc + ss) * weight;
            double over = 1.0 / fmax(cc * ss - cs * cs, 1e-9 * reach + 1e-300);
            double own = ((double)yc * yc * ss + (double)ys * ys * cc - 2.0 * cs * yc * ys) * over;
            power += own;
            sensitivity += 0.25 * (fabs(own) + 0.01 * chi2[k]) * fabs(reach) * over;
        }
        all_cc += cc;
        all_ss += ss;
        all_cs += cs;
        all_yc += yc;
        all_ys += ys;
    }
    separate[i] = fmin(fmax(power, 0.0), 1.0);
    // The weights sum to 1.
    double reach = fabs(all_cc + all_ss);
    double over = 1.0 / fmax(all_cc * all_ss - all_cs * all_cs, 1e-9 * reach + 1e-300);
    double own = (all_ss * all_yc * all_yc + all_cc * all_ys * all_ys
                  - 2.0 * all_cs * all_yc * all_ys) * over;
    shared[i] = fmin(fmax(own, 0.0), 1.0);
    is_unsure[i] = !(sensitivity < limit) || !(0.25 * (fabs(own) + 0.01) * reach * over < limit);
}

#define DEFINE(name, real)                                                                     \
    extern "C" __global__ void name(                                                           \
        const double* t, const double* w, const double* yw, const long long* starts,           \
        const double* weights, const double* chi2, int n_bands, double df, long long first,    \
        int length, double limit, double* separate, double* shared, unsigned char* is_unsure) {\
        scan<real>(t, w, yw, starts, weights, chi2, n_bands, df, first, length, limit,         \
                   separate, shared, is_unsure);                                               \
    }

DEFINE(scan_single, float)
DEFINE(scan_double, double)
