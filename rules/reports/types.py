"""Every type of report: its model, its name in both languages, who sends it, an example (catalogue part 2, §11)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rules.models import Bilingual
from rules.reports import quality, recalls, vigilance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.reports.parts import Fields

HOLDER, MAKER = (
    Bilingual(zh="上市许可持有人", en="marketing authorisation holder"),
    Bilingual(zh="生产企业", en="maker"),
)
REGISTRANT, SPONSOR = Bilingual(zh="注册人、备案人", en="registrant or filer"), Bilingual(zh="申办者", en="sponsor")
DISTRIBUTOR, HOSPITAL = Bilingual(zh="经营企业", en="distributor"), Bilingual(zh="医疗机构", en="hospital")
USER, LABORATORY = Bilingual(zh="使用单位", en="user"), Bilingual(zh="检验机构", en="laboratory")
AGENT, FIRM = Bilingual(zh="境内代理人", en="agent in China"), Bilingual(zh="单位", en="firm")


@dataclass(frozen=True, slots=True)
class ReportType:
    """One type of report."""

    model: type[Fields]
    title: Bilingual
    senders: tuple[Bilingual, ...]
    example: Mapping[str, Any]
    """Its `fields`, as they are posted."""


def _type(model: type[Fields], en: str, zh: str, *senders: Bilingual, example: dict[str, Any]) -> ReportType:
    return ReportType(model, Bilingual(zh=zh, en=en), senders, MappingProxyType(example))


_KNOWN = "2026-03-02T10:00:00+08:00"
TYPES: Mapping[str, ReportType] = MappingProxyType({
    "adr-case": _type(
        vigilance.AdrCase, "Adverse drug reaction, one case", "药品不良反应个例报告", HOLDER, DISTRIBUTOR, HOSPITAL,
        example={"case_id": "C-118", "known_at": _KNOWN, "onset": "2026-03-01", "seriousness": "serious", "is_new": False,
                 "product": "P-12", "lots": ["B2601"], "outcome": "recovered", "source_channel": "hospital"},
    ),
    "adr-death-investigation": _type(
        vigilance.AdrDeathInvestigation, "Investigation of a death", "死亡病例调查报告", HOLDER,
        example={"case_id": "C-120", "known_at": _KNOWN, "conclusion": "No link with the product.", "lots": ["B2601"]},
    ),
    "adr-group": _type(
        vigilance.AdrGroup, "Group event of adverse drug reactions", "药品群体不良事件报告", HOLDER, DISTRIBUTOR, HOSPITAL,
        example={"event_id": "G-3", "known_at": _KNOWN, "cases": ["C-118", "C-119"], "lots": ["B2601"]},
    ),
    "adr-group-investigation": _type(
        vigilance.AdrGroupInvestigation, "Investigation of a group event", "药品群体不良事件调查报告", HOLDER,
        example={"event_id": "G-3", "known_at": _KNOWN, "conclusion": "Three patients, one drip set.", "lots": ["B2601"]},
    ),
    "psur": _type(
        vigilance.Psur, "Periodic safety update report", "药品定期安全性更新报告", HOLDER,
        example={"psur_id": "P-12-2026", "product": "P-12", "data_lock": "2026-01-31", "period_from": "2025-02-01", "cases": 17,
                 "deaths": 1, "conclusion": "The benefit outweighs the risk."},
    ),
    "device-event": _type(
        vigilance.DeviceEvent, "Adverse event of a device", "医疗器械不良事件报告", REGISTRANT, USER,
        example={"event_id": "D-9", "class": "serious", "known_at": _KNOWN, "channel": "online", "udi": "06901234567892",
                 "lot": "LD-14"},
    ),
    "device-group-case": _type(
        vigilance.DeviceGroupCase, "One case of a group event of a device", "医疗器械群体不良事件病例报告", REGISTRANT,
        example={"event_id": "D-9", "case_id": "D-9-3", "known_at": _KNOWN, "udi": "06901234567892", "lot": "LD-14",
                 "outcome": "recovered"},
    ),
    "cosmetic-reaction": _type(
        vigilance.CosmeticReaction, "Adverse reaction to a cosmetic", "化妆品不良反应报告", REGISTRANT, DISTRIBUTOR, HOSPITAL,
        example={"case_id": "K-4", "class": "ordinary", "known_at": _KNOWN, "filing_id": "G20240001", "lot": "LC-2"},
    ),
    "cosmetic-self-check": _type(
        vigilance.CosmeticSelfCheck, "Self-inspection after reactions to a cosmetic", "化妆品自查报告", REGISTRANT,
        example={"cases": ["K-4"], "class": "serious", "known_at": _KNOWN, "finding": "Preservative above its range."},
    ),
    "susar": _type(
        vigilance.Susar, "Suspected unexpected serious adverse reaction in a trial", "可疑且非预期严重不良反应报告", SPONSOR,
        example={"trial_id": "CTR-1", "case_id": "S-2", "day0": "2026-03-01", "fatal_or_life_threatening": True,
                 "follow_up": False, "lot": "B2601"},
    ),
    "dsur": _type(
        vigilance.Dsur, "Yearly safety report of a trial", "研发期间安全性更新报告", SPONSOR,
        example={"trial_id": "CTR-1", "anniversary": "2026-02-01", "susar_count": 3},
    ),
    "recall-notice": _type(
        recalls.RecallNotice, "Recall: decision and notice", "召回通知", HOLDER, REGISTRANT,
        example={"recall_id": "RC-7", "line": "drug", "class": 1, "decided_at": "2026-03-01T09:00:00+08:00",
                 "notified_at": "2026-03-01T15:00:00+08:00", "lots": [{"lot": "B2601", "shipped": 1200}]},
    ),
    "recall-plan": _type(
        recalls.RecallPlan, "Recall: plan and assessment", "召回计划和调查评估报告", HOLDER, REGISTRANT,
        example={"recall_id": "RC-7", "line": "device", "class": 2, "decided_at": "2026-03-01T09:00:00+08:00",
                 "assessment": "A seal leaks below 5 Cel.", "plan": "All of lot LD-14, from 12 hospitals, within a week."},
    ),
    "recall-progress": _type(
        recalls.RecallProgress, "Recall: progress", "召回进展报告", HOLDER, REGISTRANT,
        example={"recall_id": "RC-7", "seq": 1, "as_of": "2026-03-02",
                 "totals": [{"lot": "B2601", "shipped": 1200, "returned": 300, "destroyed": 0}]},
    ),
    "recall-final": _type(
        recalls.RecallFinal, "Recall: final report", "召回总结报告", HOLDER, REGISTRANT,
        example={"recall_id": "RC-7", "seq": 9, "as_of": "2026-03-04",
                 "totals": [{"lot": "B2601", "shipped": 1200, "returned": 1180, "destroyed": 20}]},
    ),
    "annual-report": _type(
        quality.AnnualReport, "Annual report of the holder", "药品年度报告", HOLDER, AGENT,
        example={"year": 2025, "products": [{"product": "P-12", "batches": 48, "volume": 96000, "unit": "vial"}],
                 "changes": ["CH-25-3"], "deviations": 12, "recalls": 0, "figures": {"complaints": 7}},
    ),
    "quality-review": _type(
        quality.QualityReview, "Product quality review", "产品质量回顾分析", MAKER,
        example={"product": "P-12", "period": "2025", "figures": {"yield": 97.4, "oos": 2}},
    ),
    "deviation": _type(
        quality.Deviation, "Deviation", "偏差报告", MAKER, DISTRIBUTOR,
        example={"deviation_id": "DV-26-014", "asset": "CR1", "from": "2026-03-01T03:10:00+08:00",
                 "to": "2026-03-01T04:40:00+08:00", "duration_min": 90, "peak": 11.2, "unit": "Cel", "lots": ["B2601"],
                 "opened_at": "2026-03-01T08:00:00+08:00"},
    ),
    "oos-investigation": _type(
        quality.OosInvestigation, "Investigation of a result out of specification", "检验结果超标调查报告", MAKER,
        example={"investigation_id": "OOS-5", "lot": "B2601", "test": "assay", "opened_at": "2026-03-01T09:00:00+08:00"},
    ),
    "change-filing": _type(
        quality.ChangeFiling, "Change: approval, filing or yearly report", "变更申报", HOLDER,
        example={"filing_id": "CH-26-1", "class": "moderate", "subject": "limit", "asset": "CR1.T1",
                 "old": {"low": 2, "high": 8}, "new": {"low": 2, "high": 10}, "filed_at": "2026-02-20T09:00:00+08:00",
                 "approved_at": "2026-02-27T09:00:00+08:00", "in_force_from": "2026-03-01"},
    ),
    "rectification": _type(
        quality.Rectification, "Rectification after an inspection", "整改报告", FIRM,
        example={"inspection_id": "V-2026-11", "handed_over_at": "2026-02-10T16:00:00+08:00",
                 "actions": ["The door seal of CR1 was replaced."]},
    ),
    "amendment": _type(
        quality.Amendment, "Correction of readings that were sent", "数据补正", FIRM,
        example={"readings": [{"tag": "CR1.T1", "time": "2026-03-01T03:10:00+08:00", "old": 9.4, "new": 4.9}],
                 "author": "u-12", "made_at": "2026-03-02T09:00:00+08:00", "proof_at": "2026-03-02T09:05:00+08:00",
                 "proof": "WO-5513"},
    ),
    "sampling-result": _type(
        quality.SamplingResult, "Result of a sample", "抽检结果", LABORATORY,
        example={"sample_id": "SP-88", "facility_sampled": "BJ-MFR-0007", "product": "P-12", "lot": "B2601",
                 "drawn_at": "2026-02-12T10:00:00+08:00", "tests": [{"name": "assay", "verdict": "pass"}],
                 "verdict": "pass"},
    ),
    "significant-change": _type(
        quality.SignificantChange, "Change of key staff, equipment, site or ownership", "重大变更", FIRM,
        example={"subject": "key-staff", "description": "New head of quality.", "effective_from": "2026-04-01"},
    ),
})  # fmt: skip
"""By the name that stands in `type`."""
