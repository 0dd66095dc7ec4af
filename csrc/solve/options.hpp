// The options of the chain and of a search, as described by
// fastinv.backends.solving.PipelineOptions. Each line here declares an option and reads it from
// Python.
#pragma once

#include <cstdint>

#define FASTINV_PIPELINE_OPTIONS(OPTION) \
  OPTION(double, coverage)               \
  OPTION(bool, anchors_exact)            \
  OPTION(bool, trust_residual)           \
  OPTION(double, branch_distance)        \
  OPTION(std::int64_t, pool_factor)      \
  OPTION(std::int64_t, n_passes)         \
  OPTION(bool, polish)                   \
  OPTION(std::int64_t, max_evaluations)  \
  OPTION(double, sufficient_residual)    \
  OPTION(double, longest_step)           \
  OPTION(double, separation)

namespace fastinv {

// PipelineOptions in Python explains each option.
struct PipelineOptions {
#define FASTINV_DECLARE_OPTION(type, name) type name;
  FASTINV_PIPELINE_OPTIONS(FASTINV_DECLARE_OPTION)
#undef FASTINV_DECLARE_OPTION
};

}  // namespace fastinv
