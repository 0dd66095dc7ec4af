#include "mixture/modes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/parallel.hpp"
#include "mixture/climbs.hpp"
#include "mixture/small_matrices.hpp"

namespace fastinv {

namespace {

// Lengths are in local standard deviations, of the mean precision of the components.
constexpr double kConverged = 1e-8;  // estimated distance to the top; one more step squares it
constexpr double kLongestLeap = 0.5;
constexpr double kSameMode = 1e-3;
constexpr double kPush = 0.1;  // length of a push off a saddle point
constexpr int kPushes = 5;
constexpr int kMaxSteps = 500;
constexpr double kSaddle = 1e-7;          // least upward curvature of a saddle point
constexpr double kLeastCurvature = 1e-6;  // flatter tops are treated as if they had it
constexpr double kLargestRoot = 1e140;

class Row {
 public:
  Row(const ModesTask& task, const Kernels<double>& kernels, Climbs climbs)
      : task_(task), kernels_(kernels), c_(climbs), d_(task.n_dims), entries_(d_ * (d_ + 1) / 2) {}

  // Writes the modes of row `i` to the task's arrays.
  void find(std::int64_t i) {
    measure(i);
    const std::int64_t n = place_starts();
    for (std::int64_t s = 0; s < n; ++s) {
      c_.alive[s] = 1;
      c_.active[s] = s;
    }
    climb(n, k_);
    std::int64_t ended = 0;
    for (std::int64_t s = 0; s < n; ++s) {
      if (c_.alive[s]) c_.chosen[ended++] = s;
    }
    leave_saddles(ended);
    write_distinct(i, n);
  }

 private:
  // The row's components of positive weight, shifted and scaled to spread 1.
  void measure(std::int64_t row) {
    const std::int64_t k_all = task_.n_components;
    const double* const weights = task_.weights + row * k_all;
    const double* const means = task_.means + row * k_all * d_;
    const double* const lower = task_.lower + row * k_all * d_ * d_;
    for (std::int64_t i = 0; i < d_; ++i) {
      double center = 0, variance = 0;
      for (std::int64_t k = 0; k < k_all; ++k) center += weights[k] * means[k * d_ + i];
      for (std::int64_t k = 0; k < k_all; ++k) {
        const double* const factor_row = lower + (k * d_ + i) * d_;
        const double offset = means[k * d_ + i] - center;
        variance += weights[k] * (dot(factor_row, factor_row, i + 1) + offset * offset);
      }
      c_.center[i] = center;
      c_.spread[i] = std::sqrt(variance);
    }
    k_ = 0;
    for (std::int64_t k = 0; k < k_all; ++k) {
      if (!(weights[k] > 0)) continue;
      double* const root = c_.roots + k_ * entries_;
      double log_volume = 0;
      for (std::int64_t i = 0; i < d_; ++i) {
        c_.means[k_ * d_ + i] = (means[k * d_ + i] - c_.center[i]) / c_.spread[i];
        for (std::int64_t j = 0; j <= i; ++j) {
          root[triangle(i, j)] = lower[(k * d_ + i) * d_ + j] / c_.spread[i];
        }
        log_volume += std::log(root[triangle(i, i)]);
      }
      invert_lower(root, d_, kLargestRoot);
      gram_of_lower(root, d_, c_.precisions + k_ * entries_);
      c_.weights[k_] = weights[k];
      c_.log_factors[k_] = std::log(weights[k]) - log_volume;
      ++k_;
    }
  }

  // Component means, then the ridgeline's points of equal shares for all pairs and for all. Every
  // stationary point lies on that surface (Ray & Lindsay 2005, Annals of Statistics 33(5)).
  std::int64_t place_starts() {
    std::copy(c_.means, c_.means + k_ * d_, c_.x);
    std::copy(c_.weights, c_.weights + k_, c_.mass);
    std::int64_t n = k_;
    if (task_.n_components == 1) return n;
    for (std::int64_t k = 0; k < k_; ++k) {
      for (std::int64_t other = k + 1; other < k_; ++other) place_between(k, other, n++);
    }
    place_between(0, -1, n++);
    std::fill(c_.mass + k_, c_.mass + n, 0.0);
    return n;
  }

  // Start `s` between components k and other, or all if that is negative.
  void place_between(std::int64_t k, std::int64_t other, std::int64_t s) {
    double* const point = c_.x + s * d_;
    std::fill(point, point + d_, 0.0);
    std::fill(c_.matrix, c_.matrix + entries_, 0.0);
    const auto add = [&](std::int64_t component) {
      const double* const precision = c_.precisions + component * entries_;
      add_product(precision, c_.means + component * d_, d_, point);
      for (std::int64_t e = 0; e < entries_; ++e) c_.matrix[e] += precision[e];
    };
    if (other >= 0) {
      add(k);
      add(other);
    } else {
      for (std::int64_t component = 0; component < k_; ++component) add(component);
    }
    factorize_within_rounding(c_.matrix, d_);
    solve_factor(c_.matrix, d_, point);
    solve_transposed(c_.matrix, d_, point);
  }

  // Looks around the points of the climbs numbers[0 .. n).
  void look(const std::int64_t* numbers, std::int64_t n) {
    watch_point();
    const std::int64_t stride = c_.capacity;
    const std::int64_t padded = (n + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes;
    for (std::int64_t s = 0; s < padded; ++s) {
      const double* const point = c_.x + numbers[std::min(s, n - 1)] * d_;
      for (std::int64_t i = 0; i < d_; ++i) c_.points[i * stride + s] = point[i];
    }
    HillsTask<double> around{};
    around.n_components = k_;
    around.n_dims = d_;
    around.stride = stride;
    around.log_factors = c_.log_factors;
    around.means = c_.means;
    around.roots = c_.roots;
    around.precisions = c_.precisions;
    around.points = c_.points;
    around.log_density = c_.at_log_density;
    around.slope_length = c_.slope_length;
    around.leap_length = c_.leap_length;
    around.least_pivot = c_.least_pivot;
    around.safe = c_.safe;
    around.leap = c_.leap;
    around.slope = c_.slope;
    around.factor = c_.at_factor;
    around.drop = c_.at_drop;
    around.workspace = c_.kernel;
    kernels_.hills(around, 0, padded);
  }

  // Moves the climbs active[0 .. n) to stationary points. Those from n_means on that do not start
  // where the log density is concave are given up.
  void climb(std::int64_t n, std::int64_t n_means) {
    for (std::int64_t s = 0; s < n; ++s) {
      const std::int64_t id = c_.active[s];
      c_.highest[id] = -std::numeric_limits<double>::infinity();
      c_.may_leap[id] = 1;
    }
    for (int step = 0; step < kMaxSteps && n > 0; ++step) {
      look(c_.active, n);
      std::int64_t kept = 0;
      for (std::int64_t s = 0; s < n; ++s) {
        const std::int64_t id = c_.active[s];
        if (step == 0 && id >= n_means && !(c_.least_pivot[s] > 0)) c_.alive[id] = 0;
        if (!std::isfinite(c_.at_log_density[s])) c_.alive[id] = 0;
        if (c_.alive[id] && !move(id, s)) c_.active[kept++] = id;
      }
      n = kept;
    }
  }

  // Takes the step of climb `id`, whose surroundings are in column s. Whether it has arrived.
  bool move(std::int64_t id, std::int64_t s) {
    double *const x = c_.x + id * d_, *const fallback = c_.fallback + id * d_;
    const double log_density = c_.at_log_density[s];
    // A Newton step that led down is undone, and that climb continues with EM steps only.
    const double slack = 1e-12 * (1.0 + std::fabs(log_density));
    if (c_.may_leap[id] && log_density < c_.highest[id] - slack) {
      c_.may_leap[id] = 0;
      std::copy(fallback, fallback + d_, x);
      return false;
    }
    const bool concave = c_.least_pivot[s] > 0;
    const bool leaps = c_.may_leap[id] && concave && c_.leap_length[s] <= kLongestLeap;
    const double* const steps = leaps ? c_.leap : c_.safe;
    bool tiny = true;
    for (std::int64_t i = 0; i < d_; ++i) {
      const double step = steps[i * c_.capacity + s];
      tiny =
          tiny && std::fabs(step) <= 2.0 * std::numeric_limits<double>::epsilon() * std::fabs(x[i]);
      fallback[i] = x[i] + c_.safe[i * c_.capacity + s];
      x[i] += step;
    }
    c_.highest[id] = log_density;
    return tiny || remaining(s, concave) <= kConverged;
  }

  // About how far the stationary point is from column s, or more.
  double remaining(std::int64_t s, bool concave) {
    const double slope = c_.slope_length[s];
    if (concave) return std::min(c_.leap_length[s], slope / kLeastCurvature);
    double largest = 1;
    for (std::int64_t e = 0; e < entries_; ++e) {
      largest = std::max(largest, std::fabs(c_.at_drop[e * c_.capacity + s]));
    }
    // Not near a saddle point. No eigenvalue is above D times the largest entry.
    if (slope > kConverged * largest * static_cast<double>(d_)) return HUGE_VAL;
    for (std::int64_t e = 0; e < entries_; ++e) c_.matrix[e] = c_.at_drop[e * c_.capacity + s];
    eigenvectors(c_.matrix, d_, c_.values, c_.vectors);
    double squares = 0;
    for (std::int64_t v = 0; v < d_; ++v) {
      double part = 0;
      for (std::int64_t i = 0; i < d_; ++i) {
        part += c_.vectors[i * d_ + v] * c_.slope[i * c_.capacity + s];
      }
      part /= std::max(std::fabs(c_.values[v]), kLeastCurvature);
      squares += part * part;
    }
    return std::sqrt(squares);
  }

  // Keeps the surroundings of the climbs numbers[0 .. n), which have ended.
  void look_at_ends(const std::int64_t* numbers, std::int64_t n) {
    look(numbers, n);
    for (std::int64_t s = 0; s < n; ++s) {
      const std::int64_t id = numbers[s];
      c_.log_density[id] = c_.at_log_density[s];
      for (std::int64_t e = 0; e < entries_; ++e) {
        c_.factor[id * entries_ + e] = c_.at_factor[e * c_.capacity + s];
        c_.drop[id * entries_ + e] = c_.at_drop[e * c_.capacity + s];
      }
      c_.is_mode[id] = c_.least_pivot[s] > 0;
    }
  }

  // A climb that starts on a ridge ends on a saddle point; a push lets it continue. `chosen` holds
  // the n climbs that have ended; is_mode becomes 1 for those on a maximum.
  void leave_saddles(std::int64_t n) {
    for (int push = 0; n > 0; ++push) {
      look_at_ends(c_.chosen, n);
      std::int64_t stuck = 0;
      for (std::int64_t s = 0; s < n; ++s) {
        const std::int64_t id = c_.chosen[s];
        if (!c_.is_mode[id] && points_up(id)) c_.chosen[stuck++] = id;
      }
      n = stuck;
      if (push == kPushes) break;
      for (std::int64_t s = 0; s < n; ++s) push_up(c_.chosen[s]);
      std::copy(c_.chosen, c_.chosen + n, c_.active);
      climb(n, task_.starts());
    }
  }

  // Whether the log density curves upwards at the end of climb `id`; if it does not, that is a
  // mode. Leaves the eigenvectors of `drop`.
  bool points_up(std::int64_t id) {
    std::copy(c_.drop + id * entries_, c_.drop + (id + 1) * entries_, c_.matrix);
    eigenvectors(c_.matrix, d_, c_.values, c_.vectors);
    c_.is_mode[id] = *std::min_element(c_.values, c_.values + d_) >= -kSaddle;
    return !c_.is_mode[id];
  }

  void push_up(std::int64_t id) {
    points_up(id);
    const std::int64_t steepest = std::min_element(c_.values, c_.values + d_) - c_.values;
    for (std::int64_t i = 0; i < d_; ++i) c_.vector[i] = c_.vectors[i * d_ + steepest];
    solve_transposed(c_.factor + id * entries_, d_, c_.vector);
    double largest = 0;  // decides which of two opposite ways is taken
    for (std::int64_t i = 0; i < d_; ++i) {
      if (std::fabs(c_.vector[i]) > std::fabs(largest)) largest = c_.vector[i];
    }
    const double length = std::copysign(kPush, largest);
    for (std::int64_t i = 0; i < d_; ++i) c_.x[id * d_ + i] += length * c_.vector[i];
  }

  // Writes the modes among the ends of n climbs, each once.
  void write_distinct(std::int64_t row, std::int64_t n) {
    std::int64_t n_modes = 0;
    for (std::int64_t s = 0; s < n; ++s) {
      if (c_.alive[s] && c_.is_mode[s]) c_.active[n_modes++] = s;
    }
    std::sort(c_.active, c_.active + n_modes, [&](std::int64_t a, std::int64_t b) {
      return c_.log_density[a] != c_.log_density[b] ? c_.log_density[a] > c_.log_density[b] : a < b;
    });
    double* const x = task_.x + row * task_.starts() * d_;
    double* const mass = task_.mass + row * task_.starts();
    std::int64_t count = 0;
    for (std::int64_t s = 0; s < n_modes; ++s) {
      const std::int64_t id = c_.active[s];
      std::int64_t same = 0;
      while (same < count && !is_same(c_.chosen[same], id)) ++same;
      if (same < count) {
        mass[same] += c_.mass[id];
        continue;
      }
      for (std::int64_t i = 0; i < d_; ++i) {
        x[count * d_ + i] = c_.center[i] + c_.spread[i] * c_.x[id * d_ + i];
      }
      mass[count] = c_.mass[id];
      c_.chosen[count++] = id;
    }
    task_.count[row] = count;
  }

  // Whether the end of climb `id` is the mode that climb `mode` has found.
  bool is_same(std::int64_t mode, std::int64_t id) {
    for (std::int64_t i = 0; i < d_; ++i) {
      c_.vector[i] = c_.x[id * d_ + i] - c_.x[mode * d_ + i];
    }
    return squared_length(c_.factor + mode * entries_, d_, c_.vector) <= kSameMode * kSameMode;
  }

  const ModesTask& task_;
  const Kernels<double>& kernels_;
  Climbs c_;
  std::int64_t d_, entries_;
  std::int64_t k_ = 0;  // components of positive weight
};

}  // namespace

void find_modes(const ModesTask& task, std::int64_t n, int n_threads,
                const Kernels<double>& kernels) {
  const int threads = static_cast<int>(std::clamp<std::int64_t>(n, 1, n_threads));
  Workspaces memory(threads, bytes_of<Climbs>(task, kernels));
  run_independent(threads, [&](int thread) {
    Row row(task, kernels, memory[thread].lay_out<Climbs>(task, kernels));
    const Range rows = part_of(n, thread, threads);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) row.find(i);
  });
}

}  // namespace fastinv
