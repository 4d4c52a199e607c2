"""Every type of event: its model, its name in both languages, an example (catalogue part 2, §12)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rules.eventtypes import audit, device, lab, trace
from rules.models import Bilingual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.reports.parts import Fields


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event."""

    model: type[Fields]
    title: Bilingual
    example: Mapping[str, Any]
    """Its `fields`, as they are posted."""


def _type(model: type[Fields], en: str, zh: str, **example: Any) -> EventType:  # noqa: ANN401 - any JSON value
    return EventType(model, Bilingual(zh=zh, en=en), MappingProxyType(example))


_AT = "2026-03-01T08:00:00+08:00"
_MOVED = {"lot": "B2601", "quantity": 400, "product": "P-12", "from": "BJ-MFR-0007", "to": "BJ-WHS-0003"}
STREAMS: Mapping[str, Mapping[str, EventType]] = MappingProxyType({
    "device": MappingProxyType({
        "heartbeat": _type(device.DeviceHeartbeat, "A device lives", "设备心跳", device_time=_AT),
        "restart": _type(device.DeviceRestart, "A device began anew", "设备重启"),
        "alarm": _type(device.DeviceAlarm, "Local alarm", "现场报警", device="HORN-1", cause="temperature", state="on"),
        "power": _type(device.DevicePower, "Power lost or back", "供电中断或恢复", device="UPS-1", state="lost"),
        "door": _type(device.DeviceDoor, "Door opened or closed", "开门或关门", state="open"),
        "monitor": _type(device.DeviceMonitor, "Monitor switched", "监测仪启停", device="PC-2", state="off"),
        "config": _type(device.DeviceConfig, "Configuration", "设备配置", point="CR1.T1", hash="0a1b2c3d", fields={"set_point": 5}),
        "serial": _type(device.DeviceSerial, "Serial number", "设备序列号", point="CR1.T1", serial="TH-1181"),
        "calibration": _type(device.DeviceCalibration, "Calibration", "校准", point="CR1.T1", serial="TH-1181", done_at=_AT,
                             due_at="2027-03-01T00:00:00+08:00", points=[{"reference": 5, "error": 0.2}]),
        "replacement": _type(device.DeviceReplacement, "Replacement", "更换", point="CR1.T1", old="TH-1181", new="TH-2204"),
    }),
    "audit": MappingProxyType({
        "heartbeat": _type(audit.AuditHeartbeat, "An audit trail lives", "审计追踪心跳", system="LIMS"),
        "audit-disabled": _type(audit.AuditDisabled, "Audit trail switched off", "审计追踪被关闭", system="LIMS"),
        "limit-changed": _type(audit.LimitChanged, "Limits set", "限值变更", actor="u-12", role="engineer", asset="CR1.T1",
                               old={"low": 2, "high": 8}, new={"low": 2, "high": 10}, reason="Summer setting."),
        "alarm-disabled": _type(audit.AlarmDisabled, "Alarm switched off", "报警被关闭", actor="u-12", asset="CR1.T1", reason="Service."),
        "alarm-enabled": _type(audit.AlarmEnabled, "Alarm switched on", "报警重新启用", actor="u-12", asset="CR1.T1"),
        "action": _type(audit.Action, "Data created, changed, deleted or approved", "数据新建、修改、删除或批准", actor="u-12", role="analyst",
                        terminal="T-3", verb="change", object="result S-88", reason="Typing error."),
    }),
    "lab": MappingProxyType({
        "result": _type(lab.LabResult, "Result", "检验结果", sample_id="S-88", loop="WFI-1", test="conductivity-stage-2", method="USP <645>",
                        value=1.4, unit="uS/cm", verdict="pass", sampled_at=_AT),
        "run": _type(lab.LabRun, "Run of an instrument", "仪器运行", instrument="HPLC-2", number=1042, state="aborted", reason="Pressure lost."),
        "parallel": _type(lab.LabParallel, "Parallel measurement", "比对监测", series="CR1.T1", value=5.1, unit="Cel", measured_at=_AT,
                          by="BJ-LAB", reference_error=0.1),
    }),
    "trace": MappingProxyType({
        "produced": _type(trace.Produced, "Lot produced", "生产", lot="B2601", quantity=2000, product="P-12", expiry="2028-01-31"),
        "imported": _type(trace.Imported, "Lot imported", "进口", lot="B2601", quantity=2000, product="P-12", expiry="2028-01-31"),
        "released": _type(trace.Released, "Lot released", "放行", lot="B2601", quantity=1980, product="P-12"),
        "destroyed": _type(trace.Destroyed, "Destroyed", "销毁", lot="B2601", quantity=20, product="P-12", place="NS-1"),
        "shipped": _type(trace.Shipped, "Shipped", "发货", **_MOVED, codes=["8190000000000001"], trip="W-7", cold_chain=True),
        "arrived": _type(trace.Arrived, "Arrived", "到货", **_MOVED, trip="W-7", place="CR1"),
        "sold": _type(trace.Sold, "Sold", "销售", lot="B2601", quantity=1, product="P-12", **{"from": "BJ-WHS-0003"}, to="a patient",
                      channel="online", cold_chain=True),
        "returned": _type(trace.Returned, "Returned", "退货", lot="B2601", quantity=40, **{"from": "BJ-WHS-0003"}, to="BJ-MFR-0007"),
        "stop-order": _type(trace.StopOrder, "Stop order", "停止令", lot="B2601", basis="recall", known_at=_AT),
        "stock-count": _type(trace.StockCount, "Stock counted", "盘点", place="NS-1", product="P-40", quantity=100),
        "used": _type(trace.Used, "Used", "使用", place="NS-1", product="P-40", quantity=2),
        "batch-step": _type(trace.BatchStep, "Step of a batch", "批生产工序", batch="B2601", step="filling", **{"from": _AT},
                            to="2026-03-01T11:30:00+08:00"),
        "room-state": _type(trace.RoomState, "State of a room", "房间状态", room="FILL", state="in_operation"),
    }),
})  # fmt: skip
"""By stream and type."""
