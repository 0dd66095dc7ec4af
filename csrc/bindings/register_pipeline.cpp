// The solve pipeline, ranking, and batches of a compiled forward function.
#include <algorithm>

#include "base/dispatch.hpp"
#include "base/parallel.hpp"
#include "solve/pipeline.hpp"
#include "solve/rank.hpp"
#include "bindings/array_view.hpp"
#include "bindings/models.hpp"
#include "bindings/registers.hpp"
#include "bindings/released_gil.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kRowsPerThread = 64;  // fewer rows of f are not worth a thread

std::unique_ptr<Pipeline> make_pipeline(const py::array& anchors_x, const py::array& anchors_y,
                                        const std::optional<py::dict>& twin,
                                        const py::object& forward, const py::array& lower,
                                        const py::array& upper, double tol, double coverage,
                                        const py::array& x_spread, bool anchors_exact,
                                        bool trust_residual, double apart, std::int64_t pool,
                                        std::int64_t n_passes,
                                        const std::optional<py::dict>& refine,
                                        const std::string& isa) {
  const auto x = in_matrix<double>(anchors_x, "anchors_x");
  const auto y = in_matrix<double>(anchors_y, "anchors_y");
  const std::int64_t p = x.cols, q = y.cols;
  if (x.rows != y.rows || x.rows < 1 || p < 1 || q < 1) {
    throw py::value_error("anchors_x and anchors_y must have the same number of rows, at least 1");
  }
  std::optional<TwinModel> twin_model;
  if (twin) {
    const py::dict& d = *twin;
    twin_model.emplace(TwinModel{network_of(d, 2 * q + p, p, isa), entry(d, "dy_scale", q),
                                 entry(d, "y_mean", q), entry(d, "y_scale", q),
                                 entry(d, "x_mean", p), entry(d, "x_scale", p),
                                 entry(d, "dx_scale", p), d["reach"].cast<double>()});
  }
  ForwardChoice f = forward_of(forward, p, q, isa);
  std::optional<RefineOptions> refine_options;
  if (refine) {
    const py::dict& d = *refine;
    refine_options.emplace(RefineOptions{
        address_of(d["jacobian"]), d["max_evaluations"].cast<std::int64_t>(),
        entry(d, "periods", p), d["separation"].cast<double>()});
  }
  if (pool < 1) throw py::value_error("pool must be at least 1, got " + std::to_string(pool));
  if (n_passes < 1) {
    throw py::value_error("n_passes must be at least 1, got " + std::to_string(n_passes));
  }
  return std::make_unique<Pipeline>(
      std::vector<double>(x.data, x.data + x.rows * p),
      std::vector<double>(y.data, y.data + y.rows * q), p, q, std::move(twin_model), f.compiled,
      std::move(f.learned),
      PipelineOptions{vector_of(lower, "lower", p), vector_of(upper, "upper", p),
                      vector_of(x_spread, "x_spread", p), tol, coverage, anchors_exact,
                      trust_residual, apart, pool, n_passes},
      std::move(refine_options), kernels<double>(isa));
}

SolveArrays solve_arrays(const Pipeline& self, const py::array& targets,
                         const std::optional<py::array>& near, std::int64_t n_neighbors,
                         std::int64_t k, const py::array& x, const py::array& residual,
                         const py::array& anchor, const py::array& status) {
  const auto y = in_matrix<double>(targets, "targets", self.q());
  if (n_neighbors < 1 || n_neighbors > self.n_anchors() || k < 1 || k > n_neighbors) {
    throw py::value_error("k and n_neighbors must satisfy 1 <= k <= n_neighbors <= n_anchors");
  }
  SolveArrays arrays{};
  arrays.targets = y.data;
  arrays.n = y.rows;
  arrays.n_neighbors = n_neighbors;
  arrays.k = k;
  if (near) {
    const auto states = in_matrix<double>(*near, "near", self.p());
    if (states.rows != y.rows) throw py::value_error("near must have one row per target");
    arrays.near = states.data;
  }
  arrays.x = block<double>(x, "x", y.rows, k, self.p(), true);
  arrays.residual = out_matrix<double>(residual, "residual", y.rows, k).data;
  arrays.anchor = out_matrix<std::int64_t>(anchor, "anchor", y.rows, k).data;
  arrays.status = out_matrix<std::int8_t>(status, "status", y.rows, k).data;
  return arrays;
}

void solve(const Pipeline& self, const py::array& targets, const std::optional<py::array>& near,
           std::int64_t n_neighbors, std::int64_t k, const py::array& x,
           const py::array& residual, const py::array& anchor, const py::array& status,
           int n_threads) {
  const SolveArrays arrays =
      solve_arrays(self, targets, near, n_neighbors, k, x, residual, anchor, status);
  if (!self.has_forward()) throw py::value_error("this pipeline has no forward function");
  checked_threads(n_threads);
  const ReleasedGil released;
  self.solve(arrays, n_threads);
}

// Like `solve`, but makes the arrays (x, residual, anchor, status).
py::tuple solve_new(const Pipeline& self, const py::array& targets,
                    const std::optional<py::array>& near, std::int64_t n_neighbors, std::int64_t k,
                    int n_threads) {
  const std::int64_t n = in_matrix<double>(targets, "targets", self.q()).rows;
  if (k < 1 || k > self.n_anchors()) {
    throw py::value_error("k must be from 1 to the number of anchors");
  }
  const py::array_t<double> x({n, k, self.p()}), residual({n, k});
  const py::array_t<std::int64_t> anchor({n, k});
  const py::array_t<std::int8_t> status({n, k});
  solve(self, targets, near, n_neighbors, k, x, residual, anchor, status, n_threads);
  return py::make_tuple(x, residual, anchor, status);
}

void candidates(const Pipeline& self, const py::array& targets, std::int64_t n_neighbors,
                const py::array& x, const py::array& anchor, const py::array& flags,
                const py::array& anchor_distance, int n_threads) {
  const auto y = in_matrix<double>(targets, "targets", self.q());
  if (n_neighbors < 1 || n_neighbors > self.n_anchors()) {
    throw py::value_error("n_neighbors must be from 1 to the number of anchors");
  }
  const CandidateArrays out{
      block<double>(x, "x", y.rows, n_neighbors, self.p(), true),
      out_matrix<std::int64_t>(anchor, "anchor", y.rows, n_neighbors).data,
      out_matrix<std::uint8_t>(flags, "flags", y.rows, n_neighbors).data,
      out_vector<double>(anchor_distance, "anchor_distance", y.rows).data};
  checked_threads(n_threads);
  const ReleasedGil released;
  self.candidates(y.data, y.rows, n_neighbors, out, n_threads);
}

void rank_candidates(const Pipeline& self, const py::array& targets,
                     const std::optional<py::array>& near, const py::array& cx,
                     const py::array& canchor, const py::array& cflags,
                     const py::array& canchor_distance, const py::array& fx, std::int64_t k,
                     const py::array& x, const py::array& residual, const py::array& anchor,
                     const py::array& status) {
  detail::require(canchor.ndim() == 2, "candidate_anchor", "2-dimensional");
  const std::int64_t n_neighbors = canchor.shape(1);
  const SolveArrays arrays =
      solve_arrays(self, targets, near, n_neighbors, k, x, residual, anchor, status);
  const auto anchors = in_matrix<std::int64_t>(canchor, "candidate_anchor", n_neighbors);
  const auto flags = in_matrix<std::uint8_t>(cflags, "candidate_flags", n_neighbors);
  const auto distances = in_vector<double>(canchor_distance, "candidate_anchor_distance", arrays.n);
  if (anchors.rows != arrays.n || flags.rows != arrays.n) {
    throw py::value_error("candidates must have one row per target");
  }
  for (std::int64_t i = 0; i < arrays.n * n_neighbors; ++i) {
    if (anchors.data[i] < 0 || anchors.data[i] >= self.n_anchors()) {
      throw py::index_error("candidate_anchor holds an index outside the anchors");
    }
  }
  // Ranking only reads what CandidateArrays points to.
  const CandidateArrays from{block<double>(cx, "candidate_x", arrays.n, n_neighbors, self.p()),
                             const_cast<std::int64_t*>(anchors.data),
                             const_cast<std::uint8_t*>(flags.data),
                             const_cast<double*>(distances.data)};
  const double* images = block<double>(fx, "fx", arrays.n, n_neighbors, self.q());
  const ReleasedGil released;
  self.rank(arrays, from, images);
}

void rank(const py::array& residuals, const py::array& order) {
  const auto r = in_matrix<double>(residuals, "residuals");
  const auto out = out_matrix<std::int64_t>(order, "order", r.rows, r.cols);
  const ReleasedGil released;
  rank_rows(r.data, r.rows, r.cols, out.data);
}

void evaluate_forward(std::uintptr_t address, const py::array& X, const py::array& out,
                      int n_threads) {
  if (address == 0) throw py::value_error("address must not be null");
  const auto x = in_matrix<double>(X, "X");
  detail::check<double>(out, "out", 2, true);
  const auto y = out_matrix<double>(out, "out", x.rows, out.shape(1));
  const auto f = reinterpret_cast<CompiledForward>(address);
  checked_threads(n_threads);
  const ReleasedGil released;
  const std::int64_t useful = (x.rows + kRowsPerThread - 1) / kRowsPerThread;
  const int n = static_cast<int>(std::clamp<std::int64_t>(useful, 1, n_threads));
  run_independent(n, [&](int thread) {
    const Range rows = part_of(x.rows, thread, n);
    f(x.data + rows.begin * x.cols, y.data + rows.begin * y.cols, rows.end - rows.begin);
  });
}

}  // namespace

void register_pipeline(py::module_& m) {
  py::class_<Pipeline>(m, "Pipeline")
      .def(py::init(&make_pipeline), py::arg("anchors_x"), py::arg("anchors_y"), py::arg("twin"),
           py::arg("forward"), py::arg("lower"), py::arg("upper"), py::arg("tol"),
           py::arg("coverage"), py::arg("x_spread"), py::arg("anchors_exact"),
           py::arg("trust_residual"), py::arg("apart"), py::arg("pool"), py::arg("n_passes"),
           py::arg("refine"),
           py::arg("isa"))
      .def("solve", &solve, py::arg("targets"), py::arg("near"), py::arg("n_neighbors"),
           py::arg("k"), py::arg("x"), py::arg("residual"), py::arg("anchor"), py::arg("status"),
           py::arg("n_threads"))
      .def("solve_new", &solve_new, py::arg("targets"), py::arg("near"), py::arg("n_neighbors"),
           py::arg("k"), py::arg("n_threads"))
      .def("candidates", &candidates, py::arg("targets"), py::arg("n_neighbors"), py::arg("x"),
           py::arg("anchor"), py::arg("flags"), py::arg("anchor_distance"), py::arg("n_threads"))
      .def("rank", &rank_candidates, py::arg("targets"), py::arg("near"), py::arg("candidate_x"),
           py::arg("candidate_anchor"), py::arg("candidate_flags"),
           py::arg("candidate_anchor_distance"), py::arg("fx"), py::arg("k"), py::arg("x"),
           py::arg("residual"), py::arg("anchor"), py::arg("status"));
  m.def("rank", &rank, py::arg("residuals"), py::arg("order"));
  m.def("evaluate_forward", &evaluate_forward, py::arg("address"), py::arg("X"), py::arg("out"),
        py::arg("n_threads"));
}

}  // namespace fastinv
