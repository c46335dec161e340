#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/sampling/sampler.h"

/// One coroutine a sampler, one file a family; sampler_table.cpp gives them their names and
/// options. Each takes the state at the run's first sigma and yields the one at its last. Sources
/// of the algorithms stand with the definitions; expected values are ComfyUI's
/// (comfyui-semantics.md 3.10).
namespace luna::worker {

Trajectory sample_euler(SamplerContext& context, at::Tensor x);
Trajectory sample_euler_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_euler_ancestral(SamplerContext& context, at::Tensor x);
Trajectory sample_euler_ancestral_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_heun(SamplerContext& context, at::Tensor x);
Trajectory sample_heunpp2(SamplerContext& context, at::Tensor x);
Trajectory sample_exp_heun_2_x0(SamplerContext& context, at::Tensor x);
Trajectory sample_exp_heun_2_x0_sde(SamplerContext& context, at::Tensor x);
Trajectory sample_dpm_2(SamplerContext& context, at::Tensor x);
Trajectory sample_dpm_2_ancestral(SamplerContext& context, at::Tensor x);
Trajectory sample_lms(SamplerContext& context, at::Tensor x);
Trajectory sample_dpm_fast(SamplerContext& context, at::Tensor x);
Trajectory sample_dpm_adaptive(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2s_ancestral(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2s_ancestral_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_sde(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_sde_gpu(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m_sde(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m_sde_gpu(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m_sde_heun(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_2m_sde_heun_gpu(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_3m_sde(SamplerContext& context, at::Tensor x);
Trajectory sample_dpmpp_3m_sde_gpu(SamplerContext& context, at::Tensor x);
Trajectory sample_ddpm(SamplerContext& context, at::Tensor x);
Trajectory sample_lcm(SamplerContext& context, at::Tensor x);
Trajectory sample_ipndm(SamplerContext& context, at::Tensor x);
Trajectory sample_ipndm_v(SamplerContext& context, at::Tensor x);
Trajectory sample_deis(SamplerContext& context, at::Tensor x);
Trajectory sample_res_multistep(SamplerContext& context, at::Tensor x);
Trajectory sample_res_multistep_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_res_multistep_ancestral(SamplerContext& context, at::Tensor x);
Trajectory sample_res_multistep_ancestral_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_gradient_estimation(SamplerContext& context, at::Tensor x);
Trajectory sample_gradient_estimation_cfg_pp(SamplerContext& context, at::Tensor x);
Trajectory sample_er_sde(SamplerContext& context, at::Tensor x);
Trajectory sample_seeds_2(SamplerContext& context, at::Tensor x);
Trajectory sample_seeds_3(SamplerContext& context, at::Tensor x);
Trajectory sample_sa_solver(SamplerContext& context, at::Tensor x);
Trajectory sample_sa_solver_pece(SamplerContext& context, at::Tensor x);
Trajectory sample_uni_pc(SamplerContext& context, at::Tensor x);
Trajectory sample_uni_pc_bh2(SamplerContext& context, at::Tensor x);

}  // namespace luna::worker
